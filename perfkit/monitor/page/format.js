// Numbers as words. Null and NaN are "unknown", never 0.

export const UNKNOWN = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

export function count(value) {
  if (!known(value)) return UNKNOWN;
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 0 : 1)} M`;
  return Math.round(value).toLocaleString("en-US");
}

export function rate(value) {
  if (!known(value)) return UNKNOWN;
  return `${value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(1)} /s`;
}

export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const size = Math.abs(seconds);
  if (size === 0) return "0 s";
  if (size < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (size < 0.01) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (size < 1) return `${Math.round(seconds * 1e3)} ms`;
  if (size < 10) return `${seconds.toFixed(1)} s`;
  if (size < 120) return `${Math.round(seconds)} s`;
  if (size < 7200) return `${Math.round(seconds / 60)} min`;
  if (size < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

export function share(value) {
  if (!known(value)) return UNKNOWN;
  return `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
}

export function clock(wallSeconds) {
  if (!known(wallSeconds)) return UNKNOWN;
  return new Date(wallSeconds * 1000).toLocaleTimeString("en-GB");
}

export function offset(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const whole = Math.max(0, Math.round(seconds));
  const rest = String(whole % 60).padStart(2, "0");
  return `${Math.floor(whole / 60)}:${rest}`;
}

// Text from outside without what moves other text about: controls, and marks of writing direction.
export function clean(text) {
  return String(text ?? UNKNOWN).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

// A name from outside, short enough for a card; the whole of it belongs into `title`.
export function short(name, limit = 60) {
  const plain = clean(name);
  return plain.length <= limit ? plain : `${plain.slice(0, limit - 8)}…${plain.slice(-7)}`;
}
