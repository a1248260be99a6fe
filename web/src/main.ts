import "./style.css";
import { ApiError, ask, askFreshness, key, type Freshness, type Parameters } from "./api";
import { find, make } from "./dom";
import * as format from "./format";
import { makePanels, makeTails, totalsOf, type Totals } from "./panels";
import { kinds, SeriesPanel } from "./series";
import { presets, rangeOf, rangeOfStep, readState, writeState, type State } from "./state";

const pollMilliseconds = 3_000;
const lateMilliseconds = 5 * 60_000;

let state = readState(location.search);
let loading = new AbortController();
let shownVersions = "";
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
    key.set(input.value);
    input.value = "";
    void poll();
  });
  find("log-out").addEventListener("click", () => {
    key.forget();
    shownVersions = "";
    void poll();
  });
  addEventListener("popstate", () => {
    state = readState(location.search);
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
  void load();
}

function showControls(): void {
  const site = find<HTMLSelectElement>("site");
  const names = [...new Set([...sites, ...(state.site === "" ? [] : [state.site])])].sort();
  site.replaceChildren(make("option", { value: "" }, "All sites"), ...names.map((name) => make("option", { value: name }, name)));
  site.value = state.site;
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

// Everything of the chosen time. The panels ask one after the other: what is above comes first.
async function load(): Promise<void> {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  showControls();
  const parameters = shared();
  const range = rangeOf(state, new Date());
  series.setRange(range);
  try {
    const summary = await ask("summary", parameters, signal);
    const totals = totalsOf(summary.rows);
    if (state.site === "" && state.filters.length === 0) sites = totals.sites;
    showControls();
    showTotals(totals);
  } catch (error) {
    if (!signal.aborted) complain(error);
    return;
  }
  await series.load([...parameters, ["step", range.step]], signal);
  for (const panel of panels) await panel.load(parameters, signal);
  if (!signal.aborted) document.body.dataset.loaded = String(Number(document.body.dataset.loaded ?? "0") + 1);
}

async function loadTails(): Promise<void> {
  const { signal } = loading;
  const site: Parameters = state.site === "" ? [] : [["site", state.site]];
  const filters: Parameters = state.filters.map((filter) => ["filter", filter]);
  await tails.accepted.load([...site, ...filters], signal);
  await tails.rejected.load(site, signal);
}

function showHealth(freshness: Freshness): void {
  const now = Date.parse(freshness.now);
  const records = freshness.tables.find((table) => table.name === "access_logs");
  const newest = records?.newest_record ? now - Date.parse(records.newest_record) : null;
  const late = freshness.tables.filter(
    (table) => (table.versions_behind ?? 0) > 0 && records?.newest_file && now - Date.parse(records.newest_file) > lateMilliseconds,
  );
  const health = find("health");
  health.dataset.state = late.length > 0 ? "bad" : "good";
  const last = newest === null ? "no record yet" : `last record ${format.age(newest)} ago`;
  health.textContent = late.length > 0 ? `Sums are behind: ${late.map((table) => table.name).join(", ")}; ${last}` : `All is well: ${last}`;
}

function complain(error: unknown): void {
  const isLocked = error instanceof ApiError && error.status === 401;
  find("login").hidden = !isLocked;
  if (isLocked) {
    find("content").hidden = true;
    find("empty").hidden = true;
    find("login-error").textContent = key.get() === null ? "" : "This key is not known.";
    key.forget();
    shownVersions = "";
    find("health").textContent = "Locked";
    find("health").dataset.state = "";
    find("log-out").hidden = true;
    find("key").focus();
    return;
  }
  const banner = find("banner");
  banner.textContent = `${error instanceof Error ? error.message : String(error)}. What is below is as it was; trying again.`;
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
    const has = freshness.tables.some((table) => (table.records ?? 1) > 0 && table.name !== "dead_letters" && table.version > 0);
    const hasRejected = freshness.tables.some((table) => table.name === "dead_letters" && (table.records ?? 0) > 0);
    find("empty").hidden = has || hasRejected;
    find("content").hidden = !has && !hasRejected;
    const versions = freshness.tables.map((table) => `${table.name}@${table.version}`).join();
    if ((has || hasRejected) && versions !== shownVersions) {
      shownVersions = versions;
      await load();
      await loadTails();
    }
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
void pollForever();
