import type { Step } from "./state";

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(value: number): string {
  return whole.format(value);
}

export function shortCount(value: number): string {
  return short.format(value);
}

export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    ++unit;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`;
}

export function milliseconds(microseconds: number): string {
  return `${whole.format(Math.round(microseconds / 100) / 10)} ms`;
}

export function percent(part: number, all: number): string {
  return all === 0 ? "0 %" : `${((100 * part) / all).toFixed(part > 0 && part * 100 < all ? 2 : 1)} %`;
}

// "2026-11-24 08:00": in UTC, as all times here.
export function time(text: string): string {
  return text.slice(0, 19).replace("T", " ");
}

export function stepLabel(start: Date, step: Step): string {
  const text = start.toISOString();
  if (step === "day") return text.slice(0, 10);
  return `${text.slice(5, 10)} ${text.slice(11, 16)}`;
}

export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
