// Requests over time, by who asks: a chart, and the same numbers as a table.
import { BarController, BarElement, CategoryScale, Chart, Legend, LinearScale, Tooltip } from "chart.js";
import type { Answer, Row } from "./api";
import { make } from "./dom";
import * as format from "./format";
import { Panel } from "./panel";
import { stepsOf, type Range } from "./state";

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip, Legend);
Chart.defaults.animation = false;
Chart.defaults.font.family = "system-ui, sans-serif";

export const kinds = [
  { name: "human", label: "People", color: "--human" },
  { name: "search", label: "Search engines", color: "--search" },
  { name: "ai", label: "AI", color: "--ai" },
  { name: "other", label: "Other bots", color: "--other" },
];

export class SeriesPanel extends Panel {
  private readonly canvas = make("canvas", { role: "img" });
  private readonly frame = make("div", { class: "chart" }, this.canvas);
  private readonly details = make("details", {}, make("summary", {}, "The same as a table"));
  private chart: Chart<"bar"> | null = null;
  private range: Range | null = null;
  private answer: Answer | null = null;

  constructor(
    addFilters: (filters: string[]) => void,
    private readonly zoom: (start: Date) => void,
  ) {
    super(
      {
        id: "series",
        title: "Requests over time",
        topic: "timeseries",
        parameters: [["by", "kind"]],
        columns: [
          { name: "time", title: "Time (UTC)" },
          ...kinds.map((kind) => ({ name: kind.name, title: kind.label, isNumber: true })),
        ],
        click: (row) => zoom(new Date(String(row.start))),
        nothing: "No requests in this time.",
      },
      addFilters,
    );
  }

  setRange(range: Range): void {
    this.range = range;
  }

  // After the colours have changed.
  redraw(): void {
    if (this.answer !== null) this.show(this.answer);
  }

  protected override empty(): void {
    super.empty();
    this.chart?.destroy();
    this.chart = null;
    this.answer = null;
    this.details.replaceChildren(this.details.firstElementChild!);
  }

  protected override show(answer: Answer): void {
    const range = this.range;
    if (range === null) return;
    this.answer = answer;
    const steps = stepsOf(range);
    const rows = steps.map((start): Row => {
      const row: Row = { time: format.stepLabel(start, range.step), start: start.toISOString() };
      for (const kind of kinds) row[kind.name] = 0;
      return row;
    });
    const indexes = new Map(steps.map((start, index) => [start.getTime(), index]));
    for (const sums of answer.rows) {
      const row = rows[indexes.get(Date.parse(String(sums.time))) ?? -1];
      if (row) row[String(sums.kind)] = sums.requests ?? 0;
    }
    if (this.chart === null) this.body.append(this.frame, this.details);
    this.draw(rows, steps);
    this.keepPlace(() => this.details.replaceChildren(this.details.firstElementChild!, this.table(rows)));
  }

  private draw(rows: Row[], steps: Date[]): void {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const text = color("--text");
    const grid = color("--line");
    const total = (name: string) => rows.reduce((sum, row) => sum + Number(row[name]), 0);
    this.canvas.setAttribute(
      "aria-label",
      `Requests over time: ${kinds.map((kind) => `${kind.label} ${format.count(total(kind.name))}`).join(", ")}`,
    );
    this.chart?.destroy();
    this.chart = new Chart(this.canvas, {
      type: "bar",
      data: {
        labels: rows.map((row) => String(row.time)),
        datasets: kinds.map((kind) => ({
          label: kind.label,
          data: rows.map((row) => Number(row[kind.name])),
          backgroundColor: color(kind.color),
          stack: "requests",
          barPercentage: 1,
          categoryPercentage: 0.9,
        })),
      },
      options: {
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        onClick: (_event, elements) => {
          const start = steps[elements[0]?.index ?? -1];
          if (start) this.zoom(start);
        },
        scales: {
          x: { stacked: true, ticks: { color: text, maxRotation: 0, autoSkipPadding: 16 }, grid: { display: false } },
          y: {
            stacked: true,
            beginAtZero: true,
            ticks: { color: text, precision: 0, callback: (value) => format.shortCount(Number(value)) },
            grid: { color: grid },
          },
        },
        plugins: { legend: { labels: { color: text, boxWidth: 12 } } },
      },
    });
  }
}
