// A card with a table, and what can be done with it.
import { ask, download, messageOf, type Answer, type Cell, type Parameters, type Row } from "./api";
import { make, say } from "./dom";
import * as format from "./format";

export interface Column {
  name: string; // In the answer's rows.
  title: string;
  show?: (value: Cell, row: Row) => string;
  isNumber?: boolean;
  isBar?: boolean; // Its numbers are drawn behind the row's first cell.
}

export interface PanelOptions {
  id: string;
  title: string;
  topic: string;
  parameters: Parameters; // Besides those that all panels share.
  columns: Column[];
  // What a click on a row shows more closely; null: nothing.
  filterOf?: (row: Row) => string[] | null;
  click?: (row: Row) => void; // Instead of that.
  nothing: string; // Said where there are no rows.
}

export class Panel {
  readonly element: HTMLElement;
  rows: Row[] = []; // Of the last answer.
  protected readonly body = make("div", { class: "panel-body" });
  private readonly problem = make("p", { class: "problem", role: "alert" });
  private readonly source = make("span", { class: "source" });
  private asked: Parameters = [];

  constructor(
    protected readonly options: PanelOptions,
    private readonly addFilters: (filters: string[]) => void,
  ) {
    const heading = make("h2", { id: `${options.id}-title` }, options.title);
    const csv = make("button", { type: "button", class: "quiet" }, "CSV");
    csv.setAttribute("aria-label", `Download ${options.title} as CSV`);
    csv.addEventListener("click", () => {
      download(options.id, options.topic, this.asked).catch((error: unknown) => this.tell(error));
    });
    this.problem.hidden = true;
    this.element = make(
      "section",
      { class: "card", id: options.id, "aria-labelledby": `${options.id}-title` },
      make("div", { class: "card-head" }, heading, this.source, csv),
      this.problem,
      this.body,
    );
  }

  // Whether the answer came.
  async load(shared: Parameters, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    this.asked = [...shared, ...this.options.parameters];
    this.element.setAttribute("aria-busy", "true");
    try {
      const answer = await ask(this.options.topic, this.asked, signal);
      say(this.problem, "");
      this.source.textContent = sourceText(answer);
      this.rows = answer.rows;
      this.show(answer);
      return true;
    } catch (error) {
      if (!signal.aborted) {
        // What is shown is not what was asked for.
        this.empty();
        this.tell(error);
      }
      return false;
    } finally {
      if (!signal.aborted) this.element.removeAttribute("aria-busy");
    }
  }

  // As it was before the first question.
  clear(): void {
    this.asked = [];
    say(this.problem, "");
    this.element.removeAttribute("aria-busy");
    this.empty();
  }

  protected empty(): void {
    this.rows = [];
    this.source.textContent = "";
    this.body.replaceChildren();
  }

  protected show(answer: Answer): void {
    this.keepPlace(() => this.body.replaceChildren(this.table(answer.rows)));
  }

  // New numbers come by themselves: who reads or walks the table stays where he is.
  protected keepPlace(change: () => void): void {
    const scrolled = this.body.querySelector(".scroll");
    const [left, top] = [scrolled?.scrollLeft ?? 0, scrolled?.scrollTop ?? 0];
    const buttons = () => [...this.body.querySelectorAll<HTMLElement>("button, .scroll")];
    const focused = buttons().findIndex((element) => element === document.activeElement);
    change();
    this.body.querySelector(".scroll")?.scrollTo(left, top);
    if (focused >= 0) buttons()[focused]?.focus({ preventScroll: true });
  }

  protected table(rows: Row[]): HTMLElement {
    const { columns, title, nothing } = this.options;
    if (rows.length === 0) return make("p", { class: "nothing" }, nothing);
    const head = make("tr");
    for (const column of columns) {
      head.append(make("th", { scope: "col", class: column.isNumber ? "number" : "" }, column.title));
    }
    const bar = columns.find((column) => column.isBar);
    const greatest = bar ? Math.max(1, ...rows.map((row) => Number(row[bar.name]))) : 1;
    const body = make("tbody");
    for (const row of rows) {
      body.append(this.row(row, bar ? Number(row[bar.name]) / greatest : null));
    }
    const table = make("table", {}, make("caption", { class: "hidden" }, title), make("thead", {}, head), body);
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` }, table);
  }

  private row(row: Row, share: number | null): HTMLElement {
    const line = make("tr");
    const filters = this.options.filterOf?.(row) ?? null;
    const { click = filters === null ? null : () => this.addFilters(filters) } = this.options;
    this.options.columns.forEach((column, index) => {
      const value = row[column.name] ?? null;
      const text = column.show ? column.show(value, row) : cellText(value);
      const cell = make(index === 0 ? "th" : "td", { class: column.isNumber ? "number" : "text", title: text });
      if (index === 0) cell.setAttribute("scope", "row");
      if (index === 0 && click !== null) {
        const button = make("button", { type: "button", class: "drill" }, make("span", {}, text));
        button.setAttribute("aria-label", `Show only ${text}`);
        button.addEventListener("click", () => click(row));
        cell.append(button);
      } else {
        cell.append(text);
      }
      if (index === 0 && share !== null) {
        const bar = make("span", { class: "bar", "aria-hidden": "true" });
        bar.style.width = `${Math.max(0.5, 100 * share)}%`;
        cell.append(bar);
      }
      line.append(cell);
    });
    return line;
  }

  private tell(error: unknown): void {
    say(this.problem, messageOf(error));
  }
}

export function cellText(value: Cell): string {
  if (value === null || value === "") return "(none)";
  return typeof value === "number" ? format.count(value) : value;
}

function sourceText(answer: Answer): string {
  const names = answer.sources.map((source) => {
    const behind = source.versions_behind ?? 0;
    return source.table.replace("rollup_", "rollup ") + (behind > 0 ? ` (${behind} behind)` : "");
  });
  return `from ${[...new Set(names)].join(", ")}`;
}
