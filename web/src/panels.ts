// The panels of the page.
import type { Cell, Row } from "./api";
import * as format from "./format";
import { cellText, Panel, type Column, type PanelOptions } from "./panel";

type AddFilters = (filters: string[]) => void;

const requests: Column = {
  name: "requests",
  title: "Requests",
  isNumber: true,
  isBar: true,
};
const serverErrors: Column = { name: "errors", title: "5xx", isNumber: true };
const bytes: Column = { name: "bytes", title: "Sent", isNumber: true, show: (value) => format.bytes(Number(value)) };

function time(value: Cell): string {
  return value === null ? "" : format.time(String(value));
}

// Without the year, as below the chart: there is little room.
function minute(value: Cell): string {
  return time(value).slice(5, 16);
}

const lastSeen: Column = { name: "last_seen", title: "Last seen", show: minute };

function milliseconds(value: Cell): string {
  return value === null ? "" : format.milliseconds(Number(value));
}

function is(field: string, value: Cell | undefined): string {
  return `${field}=${value ?? ""}`;
}

function top(id: string, title: string, field: string, name: string, nothing: string): PanelOptions {
  return {
    id,
    title,
    topic: "top",
    parameters: [["by", field]],
    columns: [{ name: "value", title: name }, requests, serverErrors, bytes],
    filterOf: (row) => [is(field, row.value)],
    nothing,
  };
}

const slow: PanelOptions = {
  id: "slow",
  title: "Slow paths",
  topic: "top",
  parameters: [["by", "path"], ["order", "duration"]],
  columns: [
    { name: "value", title: "Path" },
    { name: "p95_us", title: "95 % within", isNumber: true, isBar: true, show: milliseconds },
    { name: "mean_us", title: "Mean", isNumber: true, show: milliseconds },
    { name: "requests", title: "Requests", isNumber: true },
  ],
  filterOf: (row) => [is("path", row.value)],
  nothing: "No requests in this time say how long they took.",
};

const crawlers: PanelOptions = {
  id: "crawlers",
  title: "Crawlers and AI agents",
  topic: "crawlers",
  parameters: [],
  columns: [
    { name: "bot", title: "Crawler" },
    { name: "bot_category", title: "What for", show: (value) => cellText(value).replaceAll("_", " ") },
    { name: "bot_operator", title: "Whose" },
    requests,
    serverErrors,
    lastSeen,
  ],
  filterOf: (row) => [is("bot", row.bot)],
  nothing: "No known crawler in this time.",
};

const errors: PanelOptions = {
  id: "errors",
  title: "What breaks",
  topic: "errors",
  parameters: [],
  columns: [
    { name: "path", title: "Path" },
    { name: "status", title: "Status", isNumber: true, show: String },
    requests,
    { name: "first_seen", title: "First seen", show: minute },
    lastSeen,
  ],
  filterOf: (row) => [is("path", row.path), is("status", row.status)],
  nothing: "No request was answered with 400 or more.",
};

const crawlerErrors: PanelOptions = {
  ...errors,
  id: "crawler-errors",
  title: "Errors that crawlers hit",
  parameters: [["filter", "kind!=human"]],
  columns: [...errors.columns.slice(0, 3), { name: "crawlers", title: "Which" }, lastSeen],
  nothing: "No crawler was answered with 400 or more.",
};

const accepted: PanelOptions = {
  id: "accepted",
  title: "Last accepted records",
  topic: "recent",
  parameters: [["limit", "25"]],
  columns: [
    { name: "path", title: "Path" },
    { name: "status", title: "Status", isNumber: true, show: (value) => (value === null ? "" : String(value)) },
    { name: "method", title: "Method" },
    { name: "site", title: "Site" },
    { name: "bot", title: "Crawler", show: (value) => (value === null ? "" : String(value)) },
    { name: "user_agent", title: "User agent" },
    { name: "received_at", title: "Received", show: time },
  ],
  nothing: "None among the newest records.",
};

const rejected: PanelOptions = {
  id: "rejected",
  title: "Last rejected records",
  topic: "recent",
  parameters: [["of", "rejected"], ["limit", "25"]],
  columns: [
    { name: "reason", title: "Why" },
    { name: "field", title: "Field", show: (value) => (value === null ? "" : String(value)) },
    { name: "payload", title: "What came" },
    { name: "site", title: "Site" },
    { name: "received_at", title: "Received", show: time },
  ],
  nothing: "Nothing was rejected lately.",
};

// Of the time that is chosen.
export function makePanels(addFilters: AddFilters): Panel[] {
  return [
    top("paths", "Top paths", "path", "Path", "No requests in this time."),
    top("agents", "Top user agents", "user_agent", "User agent", "No requests in this time."),
    crawlers,
    top("statuses", "Status classes", "status_class", "Status", "No requests in this time."),
    errors,
    crawlerErrors,
    slow,
    top("referrers", "Top referrers", "referrer", "Referrer", "No requests in this time."),
  ].map((options) => new Panel(options, addFilters));
}

// Of whatever came last.
export function makeTails(): { accepted: Panel; rejected: Panel } {
  return { accepted: new Panel(accepted, () => undefined), rejected: new Panel(rejected, () => undefined) };
}

export interface Totals {
  requests: number;
  errors: number;
  bytes: number;
  kinds: Map<string, number>;
  sites: string[];
}

export function totalsOf(rows: Row[]): Totals {
  const totals: Totals = { requests: 0, errors: 0, bytes: 0, kinds: new Map(), sites: [] };
  for (const row of rows) {
    if (row.dimension === "all") {
      totals.requests = Number(row.requests);
      totals.errors = Number(row.errors);
      totals.bytes = Number(row.bytes);
    } else if (row.dimension === "kind") {
      totals.kinds.set(String(row.value), Number(row.requests));
    } else if (row.dimension === "site") {
      totals.sites.push(String(row.value));
    }
  }
  return totals;
}
