import http from 'k6/http';
import { check, group } from 'k6';
export const options = {
  scenarios: {
    users: { executor: 'per-vu-iterations', vus: 2, iterations: 3, exec: 'pay' },
    rate: { executor: 'constant-arrival-rate', rate: 4, timeUnit: '1s', duration: '1s', preAllocatedVUs: 1, exec: 'notify' },
  },
  thresholds: { http_req_duration: ['p(95)<500'], http_req_failed: ['rate<0.5'] },
};
const base = __ENV.BASE;
export function pay() {
  group('checkout', () => {
    const r = http.post(`${base}/jobs/payments?token=hunter2`, '{}', { tags: { name: 'payments' } });
    check(r, { accepted: (r) => r.status === 202 });
  });
}
export function notify() {
  http.post(`${base}/jobs/notifications`, '{}');
  http.get(`${base}/refused`);
  if (__ITER === 1) http.get('http://127.0.0.1:1/nobody');
}
