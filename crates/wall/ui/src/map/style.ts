/**
 * The ground of the map: our own schematic GeoJSON by default; with a tile or PMTiles address in the server's configuration, those.
 * Muted greys only: colour belongs to what is abnormal.
 */
import type { FeatureCollection } from "geojson";
import type { LayerSpecification, StyleSpecification } from "maplibre-gl";
import { get } from "../shared/api";
import { both, pair } from "../shared/texts";

export type Ground = FeatureCollection & { attribution?: string; schematic?: boolean };
type Source = { kind: "geojson" } | { kind: "pmtiles" | "tiles"; url: string; attribution?: string };

const LAND = "#33383d";
const WATER = "#46555f";
const SEA = "#272e34";
const LINE = "#495057";
const ROAD = "#555d64";

const width = (base: number) => ["interpolate", ["exponential", 1.6], ["zoom"], 8, base * 0.5, 13, base * 3] as unknown as number;

const is = (kind: string) => ["==", ["get", "kind"], kind] as never;

const SCHEMATIC: LayerSpecification[] = [
  { id: "sea", type: "fill", source: "ground", filter: is("sea"), paint: { "fill-color": SEA } },
  { id: "ward", type: "fill", source: "ground", filter: is("ward"), paint: { "fill-color": LAND } },
  { id: "ward-line", type: "line", source: "ground", filter: is("ward"), paint: { "line-color": LINE, "line-width": 1, "line-dasharray": [3, 3] } },
  { id: "citadel", type: "fill", source: "ground", filter: is("citadel"), paint: { "fill-color": "#3d4349", "fill-outline-color": "#68717a" } },
  { id: "lagoon", type: "fill", source: "ground", filter: is("lagoon"), paint: { "fill-color": WATER } },
  { id: "lake", type: "fill", source: "ground", filter: is("lake"), paint: { "fill-color": WATER } },
  { id: "river", type: "line", source: "ground", filter: is("river"), layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": WATER, "line-width": ["interpolate", ["exponential", 1.8], ["zoom"], 8, ["+", 1, ["get", "size"]], 13, ["*", 9, ["get", "size"]]] } },
  { id: "road", type: "line", source: "ground", filter: is("road"), layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": ROAD, "line-width": ["interpolate", ["exponential", 1.6], ["zoom"], 8, ["*", 0.8, ["+", 0.3, ["get", "size"]]], 13, ["+", 2.5, ["*", 2, ["get", "size"]]]] } },
  { id: "coast", type: "line", source: "ground", filter: is("coast"), paint: { "line-color": "#6b757d", "line-width": 1.5 } },
];

/** Layers of vector tiles by the names that the common schemas use (Protomaps, OpenMapTiles). */
function vector(layers: string[]): LayerSpecification[] {
  const all: [string, LayerSpecification][] = [
    ["earth", { id: "earth", type: "fill", source: "tiles", "source-layer": "earth", paint: { "fill-color": LAND } }],
    ["water", { id: "water", type: "fill", source: "tiles", "source-layer": "water", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": WATER } }],
    ["waterway", { id: "waterway", type: "line", source: "tiles", "source-layer": "waterway", paint: { "line-color": WATER, "line-width": width(1) } }],
    ["roads", { id: "roads", type: "line", source: "tiles", "source-layer": "roads", paint: { "line-color": ROAD, "line-width": width(0.6) } }],
    ["transportation", { id: "transportation", type: "line", source: "tiles", "source-layer": "transportation", paint: { "line-color": ROAD, "line-width": width(0.6) } }],
    ["boundaries", { id: "boundaries", type: "line", source: "tiles", "source-layer": "boundaries", paint: { "line-color": LINE, "line-width": 1 } }],
    ["boundary", { id: "boundary", type: "line", source: "tiles", "source-layer": "boundary", paint: { "line-color": LINE, "line-width": 1 } }],
  ];
  return all.filter(([name]) => layers.length === 0 || layers.includes(name)).map(([, layer]) => layer);
}

const empty: Ground = { type: "FeatureCollection", features: [] };

/** The style, the features that have names, and who made it; a sketch of our own says that it is one. */
export async function ground(addProtocol: (name: string, tile: never) => void): Promise<{ style: StyleSpecification; names: Ground; credit: string }> {
  const [source, answer] = await Promise.all([get<Source>("/api/map/source"), get<Ground>("/api/map")]);
  const names = answer.ok ? answer.data : empty;
  const style: StyleSpecification = { version: 8, sources: {}, layers: [{ id: "back", type: "background", paint: { "background-color": LAND } }] };
  if (source.ok && source.data.kind !== "geojson") {
    const { kind, url, attribution } = source.data;
    if (kind === "pmtiles") {
      const { PMTiles, Protocol, TileType } = await import("pmtiles");
      const protocol = new Protocol();
      const archive = new PMTiles(new URL(url, location.href).href);
      protocol.add(archive);
      addProtocol("pmtiles", protocol.tile as never);
      const [header, about] = await Promise.all([archive.getHeader(), archive.getMetadata() as Promise<{ vector_layers?: { id: string }[] }>]);
      const address = `pmtiles://${archive.source.getKey()}`;
      if (header.tileType === TileType.Mvt) {
        style.sources["tiles"] = { type: "vector", url: address };
        style.layers.push(...vector((about.vector_layers ?? []).map(({ id }) => id)));
      } else raster(style, { type: "raster", url: address, tileSize: 256 });
    } else raster(style, { type: "raster", tiles: [url], tileSize: 256 });
    return { style, names, credit: attribution ?? "" };
  }
  style.sources["ground"] = { type: "geojson", data: names };
  style.layers.push(...SCHEMATIC);
  return { style, names, credit: names.schematic ? pair(both("map.schematic")) : (names.attribution ?? "") };
}

function raster(style: StyleSpecification, source: { type: "raster"; url?: string; tiles?: string[]; tileSize: number }): void {
  style.sources["tiles"] = source;
  // Colours of others would drown ours.
  style.layers.push({ id: "tiles", type: "raster", source: "tiles", paint: { "raster-saturation": -1, "raster-brightness-max": 0.45 } });
}
