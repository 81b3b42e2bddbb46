// What a run of perfkit does, in k6: a unique key and body, the status and the id read.
// RATE empty: every VU sends back to back.
import http from 'k6/http';

const rate = Number(__ENV.RATE || 0);
const users = Number(__ENV.USERS);
const duration = __ENV.DURATION;

export const options = {
  scenarios: {
    load: rate
      ? {
          executor: 'constant-arrival-rate',
          rate,
          timeUnit: '1s',
          duration,
          preAllocatedVUs: users,
          maxVUs: users,
        }
      : { executor: 'constant-vus', vus: users, duration },
  },
};

const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': '' };

export default function () {
  const key = `00000000-0000-0000-${String(__VU).padStart(5, '0')}-${String(__ITER).padStart(11, '0')}`;
  headers['Idempotency-Key'] = key;
  const body = JSON.stringify({ key, amount: 100 + (__ITER % 99900) });
  const reply = http.post(`${__ENV.URL}/jobs/payments`, body, { headers });
  if (reply.status !== 202 || reply.json('id') !== key) {
    throw new Error(`not accepted: ${reply.status}`);
  }
}
