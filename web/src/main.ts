import "./style.css";
import { ApiError, ask, askFreshness, key, type Freshness, type Parameters } from "./api";
import { find, make } from "./dom";
import * as format from "./format";
import { makePanels, makeTails, totalsOf, type Totals } from "./panels";
import { kinds, SeriesPanel } from "./series";
import { presets, rangeOf, rangeOfStep, readState, writeState, type State } from "./state";

const pollMilliseconds = 3_000;
const lateSeconds = 5 * 60;
const quietMilliseconds = 60 * 60_000;
// What is new is loaded by itself so much more seldom than a load takes: a page must not keep a server busy.
const restForEachLoad = 9;

let state = readState(location.search);
let loading = new AbortController();
let shownVersions = "";
let restUntil = 0;
let sites: string[] = [];

const series = new SeriesPanel(addFilters, zoomTo);
const panels = makePanels(addFilters);
const tails = makeTails();

function setUp(): void {
  const tail = make("div", { class: "tails" }, tails.accepted.element, tails.rejected.element);
  const tops = make("div", { class: "tops" }, ...panels.map((panel) => panel.element));
  find("panels").append(series.element, tops, tail);
  const range = find<HTMLSelectElement>("range");
  for (const preset of presets) range.append(make("option", { value: preset.name }, preset.label));
  range.append(make("option", { value: "custom" }, "From ... to"));
  range.addEventListener("change", () => {
    if (range.value === "custom") {
      const { from, to } = rangeOf(state, new Date());
      change({ range: "custom", from: from.toISOString(), to: to.toISOString() });
    } else {
      change({ range: range.value, from: "", to: "" });
    }
  });
  const site = find<HTMLSelectElement>("site");
  site.addEventListener("change", () => change({ site: site.value }));
  find<HTMLFormElement>("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    applyControls();
  });
  find<HTMLFormElement>("login").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = find<HTMLInputElement>("key");
    const given = input.value.trim();
    input.value = "";
    // Nothing else can be in a header.
    const isKey = /^[!-~]+$/.test(given);
    find("login-error").textContent = isKey ? "" : "This is not a key.";
    if (isKey) {
      key.set(given);
      void poll();
    }
  });
  find("log-out").addEventListener("click", () => {
    key.forget();
    shownVersions = "";
    void poll();
  });
  addEventListener("popstate", () => {
    state = readState(location.search);
    showControls();
    void load();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => series.redraw());
  document.addEventListener("visibilitychange", () => void poll());
  const origin = location.origin;
  find("first-batch").textContent =
    `curl -X POST ${origin}/logs -H 'Content-Type: application/json' \\\n` +
    `  -d '[{"timestamp": "${new Date().toISOString()}", "path": "/hello", "userAgent": "curl"}]'`;
  find("first-log").textContent = `millrace send --to ${origin} access.log`;
}

function applyControls(): void {
  const input = find<HTMLInputElement>("filter");
  const more = input.value.split(/\s{2,}|(?<=\S)\s+(?=\w+[!^*]?=)/).map((part) => part.trim()).filter((part) => part !== "");
  input.value = "";
  const changes: Partial<State> = { filters: [...new Set([...state.filters, ...more])] };
  if (state.range === "custom") {
    // Without a zone, as the field has them, and meant as UTC.
    const from = new Date(`${find<HTMLInputElement>("from").value}Z`);
    const to = new Date(`${find<HTMLInputElement>("to").value}Z`);
    if (from < to) Object.assign(changes, { from: from.toISOString(), to: to.toISOString() });
  }
  change(changes);
}

function addFilters(filters: string[]): void {
  change({ filters: [...new Set([...state.filters, ...filters])] });
}

function zoomTo(start: Date): void {
  const { step } = rangeOf(state, new Date());
  if (step === "minute") return;
  const { from, to } = rangeOfStep(start, step);
  change({ range: "custom", from: from.toISOString(), to: to.toISOString() });
}

function change(changes: Partial<State>): void {
  state = { ...state, ...changes };
  history.pushState(null, "", writeState(state));
  showControls();
  void load();
}

function showSites(): void {
  const site = find<HTMLSelectElement>("site");
  const names = ["", ...[...new Set([...sites, ...(state.site === "" ? [] : [state.site])])].sort()];
  // An open list would close.
  if (names.join("\n") !== [...site.options].map((option) => option.value).join("\n")) {
    site.replaceChildren(...names.map((name) => make("option", { value: name }, name === "" ? "All sites" : name)));
  }
  site.value = state.site;
}

function showControls(): void {
  showSites();
  find<HTMLSelectElement>("range").value = state.range;
  find("custom-range").hidden = state.range !== "custom";
  find<HTMLInputElement>("from").value = state.from.slice(0, 16);
  find<HTMLInputElement>("to").value = state.to.slice(0, 16);
  find("chips").replaceChildren(
    ...state.filters.map((filter) => {
      const remove = make("button", { type: "button", "aria-label": `Remove the filter ${filter}` }, filter, " ×");
      remove.addEventListener("click", () => change({ filters: state.filters.filter((other) => other !== filter) }));
      return make("li", {}, remove);
    }),
  );
}

function showTotals(totals: Totals): void {
  const cards: [string, string, string][] = [
    ["Requests", format.count(totals.requests), ""],
    ["Errors (5xx)", format.count(totals.errors), format.percent(totals.errors, totals.requests)],
    ["Sent", format.bytes(totals.bytes), ""],
    ...kinds.map((kind): [string, string, string] => {
      const requests = totals.kinds.get(kind.name) ?? 0;
      return [kind.label, format.count(requests), format.percent(requests, totals.requests)];
    }),
  ];
  find("totals").replaceChildren(
    ...cards.map(([title, value, share]) =>
      make("div", { class: "total" }, make("span", { class: "total-title" }, title), make("strong", {}, value), make("span", { class: "share" }, share)),
    ),
  );
}

function shared(): Parameters {
  const range = rangeOf(state, new Date());
  const parameters: Parameters = [["from", range.from.toISOString()], ["to", range.to.toISOString()]];
  if (state.site !== "") parameters.push(["site", state.site]);
  for (const filter of state.filters) parameters.push(["filter", filter]);
  return parameters;
}

// Everything of the chosen time. The panels ask one after the other: what is above comes first. Whether all of it came.
async function load(): Promise<boolean> {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const begin = Date.now();
  const parameters = shared();
  const range = rangeOf(state, new Date());
  series.setRange(range);
  try {
    const summary = await ask("summary", parameters, signal);
    const totals = totalsOf(summary.rows);
    if (state.site === "" && state.filters.length === 0) sites = totals.sites;
    showSites();
    showTotals(totals);
    find("load-error").hidden = true;
  } catch (error) {
    if (signal.aborted) return false;
    if (error instanceof ApiError && (error.status === 0 || error.status === 401)) {
      complain(error);
      return false;
    }
    // What is shown is not what was asked for.
    find("load-error").textContent = messageOf(error);
    find("load-error").hidden = false;
    find("totals").replaceChildren();
    find("panels").hidden = true;
    return false;
  }
  find("panels").hidden = false;
  await series.load([...parameters, ["step", range.step]], signal);
  for (const panel of panels) await panel.load(parameters, signal);
  const site: Parameters = state.site === "" ? [] : [["site", state.site]];
  const filters: Parameters = state.filters.map((filter) => ["filter", filter]);
  await tails.accepted.load([...site, ...filters], signal);
  await tails.rejected.load(site, signal);
  if (signal.aborted) return false;
  restUntil = Date.now() + restForEachLoad * (Date.now() - begin);
  document.body.dataset.loaded = String(Number(document.body.dataset.loaded ?? "0") + 1);
  return true;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function showHealth(freshness: Freshness): void {
  const records = freshness.tables.find((table) => table.name === "access_logs");
  const age = records?.newest_record ? Date.parse(freshness.now) - Date.parse(records.newest_record) : null;
  const late = freshness.tables.filter((table) => (table.seconds_behind ?? 0) > lateSeconds);
  const last = age === null ? "no record yet" : `last record ${format.age(age)} ago`;
  const health = find("health");
  if (late.length > 0) {
    health.dataset.state = "bad";
    health.textContent = `Sums are behind: ${late.map((table) => table.name).join(", ")}; ${last}`;
  } else if (age !== null && age > quietMilliseconds) {
    health.dataset.state = "";
    health.textContent = `Nothing new: ${last}`;
  } else {
    health.dataset.state = "good";
    health.textContent = `All is well: ${last}`;
  }
}

function lock(): void {
  const login = find("login");
  if (login.hidden) {
    login.hidden = false;
    find("key").focus();
  }
  if (key.get() !== null) find("login-error").textContent = "This key is not known.";
  key.forget();
  shownVersions = "";
  find("content").hidden = true;
  find("empty").hidden = true;
  find("banner").hidden = true;
  find("log-out").hidden = true;
  find("health").textContent = "Locked";
  find("health").dataset.state = "";
}

function complain(error: unknown): void {
  if (error instanceof ApiError && error.status === 401) return lock();
  const banner = find("banner");
  banner.textContent = `${messageOf(error)}. What is below is as it was; trying again.`;
  banner.hidden = false;
  find("health").dataset.state = "bad";
  find("health").textContent = "Not reachable";
}

// Whether something is new is asked often; the numbers are asked for where it is.
async function poll(): Promise<void> {
  if (document.visibilityState === "hidden") return;
  try {
    const freshness = await askFreshness();
    find("banner").hidden = true;
    find("login").hidden = true;
    find("log-out").hidden = key.get() === null;
    showHealth(freshness);
    const has = freshness.tables.some((table) => table.newest_record !== null);
    find("empty").hidden = has;
    find("content").hidden = !has;
    const versions = freshness.tables.map((table) => `${table.name}@${table.version}`).join();
    if (!has || versions === shownVersions || Date.now() < restUntil) return;
    if (await load()) shownVersions = versions;
  } catch (error) {
    complain(error);
  }
}

async function pollForever(): Promise<void> {
  for (;;) {
    await poll();
    await new Promise((resolve) => setTimeout(resolve, pollMilliseconds));
  }
}

setUp();
showControls();
void pollForever();
