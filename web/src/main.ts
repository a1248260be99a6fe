import "./style.css";
import { ApiError, ask, askFreshness, key, messageOf, type Freshness, type Parameters } from "./api";
import { find, make, say } from "./dom";
import * as format from "./format";
import { makePanels, makeTails, totalsOf, type Totals } from "./panels";
import { kinds, SeriesPanel } from "./series";
import { presets, rangeOf, rangeOfStep, readState, writeState, type Range, type State } from "./state";

const pollMilliseconds = 3_000;
// A CronJob that sums up every few minutes is not late.
const lateSeconds = 15 * 60;
const quietMilliseconds = 60 * 60_000;
// What is new is loaded by itself so much more seldom than a load takes: a page must not keep a server busy.
const restForEachLoad = 9;
const backOffMilliseconds = 3_000;
const backOffMillisecondsMax = 60_000;

let state = readState(location.search);
let loading = new AbortController();
let seenVersions = ""; // Of the tables, as poll() saw them last.
let shown = ""; // Versions and time of what is shown or under way; empty: something failed.
let restUntil = 0;
let backOff = 0;
let sites: string[] = [];
let newestReceived = 0;

const series = new SeriesPanel(addFilters, zoomTo);
const panels = makePanels(addFilters);
const tails = makeTails();
const cardNames = ["login", "denied", "empty"]; // Where there are no numbers.

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
    state = readState("");
    history.replaceState(null, "", writeState(state));
    lock();
    void poll();
  });
  addEventListener("popstate", () => {
    state = readState(location.search);
    showState();
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
  const changes: Partial<State> = { filters: [...new Set([...state.filters, ...more])] };
  if (state.range === "custom") {
    // Without a zone, as the field has them, and meant as UTC.
    const from = new Date(`${find<HTMLInputElement>("from").value}Z`);
    const to = new Date(`${find<HTMLInputElement>("to").value}Z`);
    if (!(from < to)) return say(find("load-error"), "The start must be before the end.");
    Object.assign(changes, { from: from.toISOString(), to: to.toISOString() });
  }
  input.value = "";
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
  showState();
}

function showState(): void {
  backOff = 0;
  say(find("load-error"), "");
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

function shared(range: Range): Parameters {
  const parameters: Parameters = [["from", range.from.toISOString()], ["to", range.to.toISOString()]];
  if (state.site !== "") parameters.push(["site", state.site]);
  for (const filter of state.filters) parameters.push(["filter", filter]);
  return parameters;
}

// Where versions and time are as they were, the answers are too.
function wanted(range: Range): string {
  return [seenVersions, range.from.toISOString(), range.to.toISOString()].join(" ");
}

// Asks for all that is shown; poll() asks again for what fails.
async function load(): Promise<void> {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const begin = Date.now();
  const range = rangeOf(state, new Date());
  shown = wanted(range);
  restUntil = Infinity;
  const isWhole = await loadAll(range, signal);
  if (signal.aborted) return;
  if (isWhole) {
    backOff = 0;
    restUntil = Date.now() + restForEachLoad * (Date.now() - begin);
    document.body.dataset.loaded = String(Number(document.body.dataset.loaded ?? "0") + 1);
  } else {
    shown = "";
    backOff = Math.min(Math.max(backOffMilliseconds, 2 * backOff), backOffMillisecondsMax);
    restUntil = Date.now() + backOff;
  }
}

// The panels ask one after the other: what is above comes first. Whether all of it came.
async function loadAll(range: Range, signal: AbortSignal): Promise<boolean> {
  const parameters = shared(range);
  const hasTotals = await loadTotals(parameters, signal);
  if (signal.aborted) return false;
  find("panels").hidden = !hasTotals;
  find("content").hidden = cardNames.some((card) => !find(card).hidden);
  if (!hasTotals) return false;
  series.setRange(range);
  let isWhole = await series.load([...parameters, ["step", range.step]], signal);
  for (const panel of panels) isWhole = (await panel.load(parameters, signal)) && isWhole;
  const site: Parameters = state.site === "" ? [] : [["site", state.site]];
  const filters: Parameters = state.filters.map((filter) => ["filter", filter]);
  isWhole = (await tails.accepted.load([...site, ...filters], signal)) && isWhole;
  const received = tails.accepted.rows[0]?.received_at;
  if (received) newestReceived = Math.max(newestReceived, Date.parse(String(received)));
  return (await tails.rejected.load(site, signal)) && isWhole;
}

async function loadTotals(parameters: Parameters, signal: AbortSignal): Promise<boolean> {
  try {
    const totals = totalsOf((await ask("summary", parameters, signal)).rows);
    if (state.site === "" && state.filters.length === 0) sites = totals.sites;
    showSites();
    showTotals(totals);
    // Without a failure before, it is about the range that was typed.
    if (backOff > 0) say(find("load-error"), "");
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    if (error instanceof ApiError && error.status === 401) {
      lock();
    } else {
      // What is shown is not what was asked for.
      say(find("load-error"), messageOf(error));
      find("totals").replaceChildren();
    }
    return false;
  }
}

function showHealth(state: "" | "good" | "bad", text: string, age = ""): void {
  find("health").dataset.state = state;
  say(find("health"), text);
  // Not in what is read out: it changes all the time.
  find("age").textContent = age;
}

// A key of some sites is not told when the last record of all came.
function isOfSomeSites(freshness: Freshness): boolean {
  return freshness.tables.length > 0 && freshness.tables.every((table) => table.files === null);
}

function showFreshness(freshness: Freshness): void {
  const records = freshness.tables.find((table) => table.name === "access_logs");
  const newest = isOfSomeSites(freshness) ? newestReceived : Date.parse(records?.newest_record ?? "");
  const age = newest > 0 ? Date.parse(freshness.now) - newest : null;
  const late = freshness.tables.filter((table) => (table.seconds_behind ?? 0) > lateSeconds);
  const last = age === null ? "" : `last record ${format.age(age)} ago`;
  if (late.length > 0) {
    showHealth("bad", `Sums are behind: ${late.map((table) => table.name).join(", ")}`, last);
  } else if (age !== null && age > quietMilliseconds) {
    showHealth("", "Nothing new", last);
  } else {
    showHealth("good", "All is well", last);
  }
}

// What one key may read is not shown to the next.
function forget(): void {
  loading.abort();
  seenVersions = shown = "";
  restUntil = backOff = newestReceived = 0;
  sites = [];
  for (const panel of [series, ...panels, tails.accepted, tails.rejected]) panel.clear();
  find("totals").replaceChildren();
  say(find("load-error"), "");
  find<HTMLInputElement>("filter").value = "";
  showControls();
}

// One of the cards in place of the numbers.
function showCard(name: string): void {
  for (const card of cardNames) find(card).hidden = card !== name;
  find("content").hidden = true;
  say(find("banner"), "");
  find("log-out").hidden = key.get() === null;
}

function lock(): void {
  const wasLocked = !find("login").hidden;
  if (key.get() !== null) find("login-error").textContent = "This key is not known.";
  key.forget();
  forget();
  showCard("login");
  if (!wasLocked) find("key").focus();
  showHealth("", "Locked");
}

function complain(error: unknown): void {
  const status = error instanceof ApiError ? error.status : null;
  if (status === 401) return lock();
  if (status === 403) {
    forget();
    find("denied-reason").textContent = messageOf(error);
    showCard("denied");
    return showHealth("", "Not allowed");
  }
  const below = find("content").hidden ? "Trying again." : "What is below is as it was; trying again.";
  say(find("banner"), `${messageOf(error)}. ${below}`);
  showHealth("bad", status === 0 ? "Not reachable" : "In trouble");
}

// Whether something is new is asked often; the numbers are asked for where it is.
async function poll(): Promise<void> {
  if (document.visibilityState === "hidden") return;
  const asking = key.get();
  try {
    const freshness = await askFreshness();
    // It was for another key.
    if (key.get() !== asking) return;
    say(find("banner"), "");
    find("login").hidden = find("denied").hidden = true;
    find("log-out").hidden = asking === null;
    showFreshness(freshness);
    const has = isOfSomeSites(freshness) || freshness.tables.some((table) => table.newest_record !== null);
    if (!has) return showCard("empty");
    find("empty").hidden = true;
    seenVersions = freshness.tables.map((table) => `${table.name}@${table.version}`).join();
    if (Date.now() >= restUntil && wanted(rangeOf(state, new Date())) !== shown) await load();
  } catch (error) {
    if (key.get() === asking) complain(error);
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
