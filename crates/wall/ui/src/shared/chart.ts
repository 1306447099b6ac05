/**
 * A curve over a day: level with its alarm levels, rain from above, a forecast beyond now. One canvas, made once.
 */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { minute, number } from "./format";
import type { Ring } from "./history";
import type { Foretold } from "./types";

export interface Lines {
  curve: Ring;
  forecast?: readonly Foretold[] | undefined;
  /** The forecast was issued too long ago. */
  stale?: boolean;
  /** Our own line on to the next level: from where, to which value, and within which times. */
  outlook?: { at: number; value: number; to: number; low: number; high: number } | undefined;
  /** Millimetres in the hour that begins at each time. */
  rain?: readonly (readonly [at: number, mm: number])[];
  /** A second curve on a scale of its own: a release beside a level. */
  beside?: Ring | undefined;
  levels: readonly (readonly [name: string, value: number])[];
  unit: string;
  from: number;
  to: number;
  now: number;
  /** Moments to mark: the readings that decided an alert. */
  marks?: readonly number[];
}

const INK = "#f2f4f5";
const QUIET = "#aab2b9";
const OLD = "#8b949b";
const GRID = "#464d53";
const HOUR = 3_600_000;
const FEW = 12;
/** Of the series. */
const [CURVE, AHEAD, LOW, HIGH, BESIDE] = [1, 2, 3, 4, 5];

const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);

export class Chart {
  readonly #plot: uPlot;
  #lines: Lines | null = null;

  constructor(readonly parent: HTMLElement) {
    const font = `${Math.round(rem() * 0.85)}px "Noto Sans", "DejaVu Sans", sans-serif`;
    const axis: uPlot.Axis = { stroke: QUIET, font, grid: { stroke: GRID, width: 1 }, ticks: { show: false } };
    this.#plot = new uPlot(
      {
        ...this.#size(),
        legend: { show: false },
        cursor: { show: false },
        padding: [rem() * 0.5, rem() * 1.3, 0, 0],
        scales: {
          x: { time: false, range: () => [this.#lines?.from ?? 0, this.#lines?.to ?? 1] },
          y: { range: (_, low, high) => this.#range(low, high) },
          q: { range: (_, low, high) => (low === null || high === null ? [0, 1] : [0, high * 1.1 || 1]) },
        },
        axes: [
          { ...axis, size: rem() * 1.4, gap: rem() * 0.2, space: rem() * 4.5, splits: (_, __, low, high, wide) => hours(low, high, wide), values: (_, splits) => splits.map(minute) },
          { ...axis, size: rem() * 3.6, gap: rem() * 0.3, space: rem() * 2, values: (_, splits) => splits.map((v) => number(v, splits.every(Number.isInteger) ? "1" : this.#lines?.unit)) },
        ],
        series: [
          {},
          // A reading that stands alone has no line: few are drawn as dots.
          { stroke: INK, width: rem() / 8, points: { show: (_, __, first, last) => last - first < FEW, size: rem() / 3, fill: INK }, spanGaps: false },
          { stroke: () => (this.#lines?.stale ? OLD : INK), width: rem() / 10, dash: [rem() / 2, rem() / 3], points: { show: false } },
          { stroke: OLD, width: rem() / 20, points: { show: false } },
          { stroke: OLD, width: rem() / 20, points: { show: false } },
          { scale: "q", stroke: QUIET, width: rem() / 12, points: { show: false }, spanGaps: true },
        ],
        bands: [{ series: [HIGH, LOW], fill: "#aab2b926" }],
        hooks: { drawClear: [(u) => this.#under(u)], draw: [(u) => this.#over(u)] },
      },
      [[], [], [], [], [], []],
      parent,
    );
    new ResizeObserver(() => {
      const { width, height } = this.#size();
      if (width !== this.#plot.width || height !== this.#plot.height) this.#plot.setSize({ width, height });
    }).observe(parent);
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(50, this.parent.clientWidth), height: Math.max(40, this.parent.clientHeight) };
  }

  /** The curve and the alarm levels next to it, so that the distance to the next one is seen. */
  #range(low: number | null, high: number | null): [number, number] {
    const levels = this.#lines?.levels.map(([, value]) => value) ?? [];
    if (low === null || high === null) [low, high] = levels.length ? [Math.min(...levels), Math.max(...levels)] : [0, 1];
    const below = levels.filter((value) => value <= high!).sort((a, b) => b - a)[0];
    if (below !== undefined && low - below < Math.max(2, (high - low) * 2)) low = Math.min(low, below);
    const above = levels.filter((value) => value > high!).sort((a, b) => a - b)[0];
    const top = above !== undefined && above - high < Math.max(2, (high - low) * 2) ? above : high;
    const room = Math.max((top - low) * 0.08, 0.05);
    return [low - room, top + room * 1.5];
  }

  draw(lines: Lines): void {
    this.#lines = lines;
    const rows: [time: number, value: number, which: number][] = [];
    for (const [time, value] of lines.curve) rows.push([time, value, CURVE]);
    for (const [time, value] of lines.beside ?? []) rows.push([time, value, BESIDE]);
    for (const [time, value, low, high] of lines.forecast ?? []) {
      rows.push([time, value, AHEAD]);
      if (low !== null) rows.push([time, low, LOW]);
      if (high !== null) rows.push([time, high, HIGH]);
    }
    // Times first, then the series.
    const data: number[][] = [[], [], [], [], [], []];
    const [at] = data as [number[]];
    for (const [time, value, which] of rows.filter(([time]) => time >= lines.from && time <= lines.to).sort((a, b) => a[0] - b[0])) {
      if (at.at(-1) !== time) {
        at.push(time);
        // `undefined` joins over other series' times; null is a gap.
        for (const series of data.slice(CURVE)) series.push(undefined as never);
      }
      data[which]![at.length - 1] = value;
    }
    this.#plot.setData(data as uPlot.AlignedData);
  }

  /** What is drawn of the forecast: how many moments, from when to when, between which values. */
  get ahead(): { moments: number; from: number; to: number; least: number; most: number } | undefined {
    const [times, , ahead] = this.#plot.data;
    const drawn = Array.from(times, (time, i) => [time, ahead?.[i]] as const).filter((point): point is [number, number] => typeof point[1] === "number");
    const [first, last, values] = [drawn[0], drawn.at(-1), drawn.map(([, value]) => value)];
    return first && last && { moments: drawn.length, from: first[0], to: last[0], least: Math.min(...values), most: Math.max(...values) };
  }

  #under(u: uPlot): void {
    const lines = this.#lines;
    if (!lines?.rain?.length) return;
    const most = Math.max(20, ...lines.rain.map(([, mm]) => mm));
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = "#6f7d88";
    for (const [time, mm] of lines.rain) {
      if (time + HOUR < lines.from || time > lines.to) continue;
      const left = Math.max(u.valToPos(time, "x", true), bbox.left);
      const right = Math.min(u.valToPos(time + HOUR, "x", true), bbox.left + bbox.width);
      ctx.fillRect(left + 1, bbox.top, Math.max(1, right - left - 2), (mm / most) * bbox.height * 0.4);
    }
    ctx.fillStyle = QUIET;
    ctx.font = this.#font(0.8);
    ctx.textAlign = "right";
    ctx.textBaseline = "top";
    ctx.fillText(`${number(most, "mm")} mm`, bbox.left + bbox.width - 4, bbox.top + bbox.height * 0.4);
    ctx.restore();
  }

  #over(u: uPlot): void {
    const lines = this.#lines;
    if (!lines) return;
    const { ctx, bbox } = u;
    const [low, high] = [u.scales["y"]?.min ?? 0, u.scales["y"]?.max ?? 0];
    ctx.save();
    ctx.font = this.#font(0.85);
    ctx.lineWidth = rem() / 12 * devicePixelRatio;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    for (const [name, value] of lines.levels) {
      if (value < low || value > high) continue;
      const y = u.valToPos(value, "y", true);
      ctx.strokeStyle = "#d9b98a";
      ctx.setLineDash([rem() * 0.6 * devicePixelRatio, rem() * 0.4 * devicePixelRatio]);
      line(ctx, bbox.left, y, bbox.left + bbox.width, y);
      const text = `${name} ${number(value, lines.unit)}`;
      const size = rem() * 0.95 * devicePixelRatio;
      ctx.fillStyle = "#2b2f33cc";
      ctx.fillRect(bbox.left + 3, y - size - 3, ctx.measureText(text).width + 6, size + 2);
      ctx.fillStyle = "#e8cfa8";
      ctx.fillText(text, bbox.left + 6, y - 2);
    }
    ctx.setLineDash([]);
    if (lines.outlook) {
      const { at, value, to, low: soonest, high: latest } = lines.outlook;
      const [x, y] = [(time: number) => u.valToPos(time, "x", true), (level: number) => u.valToPos(level, "y", true)];
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.beginPath();
      ctx.moveTo(x(at), y(value));
      ctx.lineTo(x(soonest), y(to));
      ctx.lineTo(x(latest), y(to));
      ctx.closePath();
      ctx.fillStyle = "#d9b98a4d";
      ctx.fill();
    }
    ctx.strokeStyle = QUIET;
    for (const time of [...(lines.to > lines.now ? [lines.now] : []), ...(lines.marks ?? [])]) {
      if (time < lines.from || time > lines.to) continue;
      const x = u.valToPos(time, "x", true);
      line(ctx, x, bbox.top, x, bbox.top + bbox.height);
    }
    ctx.restore();
  }

  #font(size: number): string {
    return `${Math.round(rem() * size * devicePixelRatio)}px "Noto Sans", "DejaVu Sans", sans-serif`;
  }
}

function line(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** Whole hours of the local day, a few of them. */
function hours(low: number, high: number, least: number): number[] {
  const step = [1, 2, 3, 6, 12].map((n) => n * HOUR).find((n) => n >= least) ?? 24 * HOUR;
  // UTC+7: local hours are whole hours of UTC, and steps count from local midnight.
  const shift = 7 * HOUR;
  const first = Math.ceil((low + shift) / step) * step - shift;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / step) + 1) }, (_, i) => first + i * step);
}
