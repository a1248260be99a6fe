// What the page shows, as its address says it: a reload or a shared link shows the same.

export interface State {
  site: string;
  range: string; // A preset's name, or "custom".
  from: string; // Of a custom range: "2026-11-24T08:00:00.000Z".
  to: string;
  filters: string[];
}

export interface Preset {
  name: string;
  label: string;
  hours: number;
}

export const presets: Preset[] = [
  { name: "1h", label: "Last hour", hours: 1 },
  { name: "24h", label: "Last 24 hours", hours: 24 },
  { name: "7d", label: "Last 7 days", hours: 7 * 24 },
  { name: "30d", label: "Last 30 days", hours: 30 * 24 },
  { name: "90d", label: "Last 90 days", hours: 90 * 24 },
];

const defaultRange = "24h";
const hour = 3_600_000;
const day = 24 * hour;
const minute = 60_000;

export type Step = "minute" | "hour" | "day";

const stepLengths: Record<Step, number> = { minute, hour, day };

export interface Range {
  from: Date;
  to: Date;
  step: Step;
}

export function readState(search: string): State {
  const parameters = new URLSearchParams(search);
  const state = { site: parameters.get("site") ?? "", from: "", to: "", filters: parameters.getAll("filter") };
  const range = parameters.get("range") ?? defaultRange;
  const from = new Date(parameters.get("from") ?? "");
  const to = new Date(parameters.get("to") ?? "");
  if (range === "custom" && from < to) return { ...state, range, from: from.toISOString(), to: to.toISOString() };
  return { ...state, range: presets.some((preset) => preset.name === range) ? range : defaultRange };
}

export function writeState(state: State): string {
  const parameters = new URLSearchParams();
  if (state.site !== "") parameters.set("site", state.site);
  if (state.range !== defaultRange) parameters.set("range", state.range);
  if (state.range === "custom") {
    parameters.set("from", state.from);
    parameters.set("to", state.to);
  }
  for (const filter of state.filters) parameters.append("filter", filter);
  const text = parameters.toString();
  return text === "" ? "/" : `/?${text}`;
}

// Whole steps, so that rollups by the hour can answer.
export function rangeOf(state: State, now: Date): Range {
  const preset = presets.find((candidate) => candidate.name === state.range);
  let from = new Date(state.from);
  let to = new Date(state.to);
  if (preset !== undefined) {
    const unit = preset.hours <= 1 ? minute : hour;
    to = new Date((Math.floor(now.getTime() / unit) + 1) * unit);
    from = new Date(to.getTime() - preset.hours * hour);
  }
  const length = to.getTime() - from.getTime();
  const step: Step = length <= 3 * hour ? "minute" : length <= 8 * day ? "hour" : "day";
  return { from, to, step };
}

// The starts of a range's steps, also of those in which nothing happened.
export function stepsOf(range: Range): Date[] {
  const length = stepLengths[range.step];
  const steps: Date[] = [];
  let time = Math.floor(range.from.getTime() / length) * length;
  for (; time < range.to.getTime(); time += length) steps.push(new Date(time));
  return steps;
}

// The range of one step, to look at it more closely.
export function rangeOfStep(start: Date, step: Step): { from: Date; to: Date } {
  return { from: start, to: new Date(start.getTime() + stepLengths[step]) };
}
