/**
 * The map's symbols, drawn once on a canvas: a shape for each kind of station, light when its value is known, hatched when it is not.
 */

/** In the unit square, as canvas paths. */
const SHAPES: Record<string, (c: CanvasRenderingContext2D) => void> = {
  river: (c) => c.arc(0.5, 0.5, 0.4, 0, 7),
  reservoir: (c) => polygon(c, [[0.06, 0.2], [0.94, 0.2], [0.7, 0.86], [0.3, 0.86]]),
  rain: (c) => {
    c.arc(0.5, 0.62, 0.28, 0.1, Math.PI - 0.1);
    c.lineTo(0.5, 0.08);
    c.closePath();
  },
  flood: (c) => polygon(c, [[0.12, 0.45], [0.5, 0.12], [0.88, 0.45], [0.88, 0.88], [0.12, 0.88]]),
  air: (c) => polygon(c, [[0.28, 0.12], [0.72, 0.12], [0.94, 0.5], [0.72, 0.88], [0.28, 0.88], [0.06, 0.5]]),
  wind: (c) => polygon(c, [[0.1, 0.12], [0.92, 0.5], [0.1, 0.88], [0.34, 0.5]]),
  camera: (c) => polygon(c, [[0.08, 0.28], [0.62, 0.28], [0.62, 0.42], [0.92, 0.24], [0.92, 0.76], [0.62, 0.58], [0.62, 0.72], [0.08, 0.72]]),
  other: (c) => polygon(c, [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]]),
};

function polygon(c: CanvasRenderingContext2D, points: [number, number][]): void {
  points.forEach(([x, y], i) => (i ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.closePath();
}

export const KINDS = Object.keys(SHAPES);
export const iconOf = (kind: string): string => (kind in SHAPES ? kind : "other");

export function draw(kind: string, known: boolean, size: number): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const c = canvas.getContext("2d", { willReadFrequently: true });
  const shape = SHAPES[kind];
  if (!c || !shape) throw new Error(`no symbol for ${kind}`);
  c.scale(size, size);
  c.beginPath();
  shape(c);
  c.fillStyle = known ? "#c3cad0" : "#3a4046";
  c.fill();
  c.lineWidth = 0.07;
  c.strokeStyle = known ? "#15181a" : "#8b949c";
  c.stroke();
  if (!known) {
    c.clip();
    c.beginPath();
    for (let x = -1; x < 1; x += 0.22) {
      c.moveTo(x, 1);
      c.lineTo(x + 1, 0);
    }
    c.stroke();
  }
  return c.getImageData(0, 0, size, size);
}
