// Where the runs of a graph are drawn: each to the right of those whose values it takes.
import type { Graph, GraphNode, StateType } from "./generated/api";

export const WIDTH = 180;
export const HEIGHT = 26;
const GAP_X = 70;
const GAP_Y = 10;
/** A column with more runs than this is broken into several. */
const COLUMN = 40;

export interface Spot {
  id: string;
  kind: "task" | "flow" | "fold";
  name: string;
  of: string;
  type: StateType;
  states?: Record<string, number>;
  count: number;
  x: number;
  y: number;
  upstream: string[];
  /** What it ran inside of, where that is not the flow itself. */
  inside: string | null;
}

export interface Layout {
  spots: Spot[];
  byId: Map<string, Spot>;
  width: number;
  height: number;
}

export function layoutOf(graph: Graph): Layout {
  const [root, ...nodes] = graph.nodes;
  const spots: Spot[] = [];
  for (const node of nodes) spots.push(spotOf(node, root as GraphNode));
  for (const node of graph.nodes) spots.push(...foldsOf(node, root as GraphNode));
  const byId = new Map(spots.map((each) => [each.id, each]));
  for (const spot of spots) spot.upstream = spot.upstream.filter((id) => byId.has(id));
  const ranks = ranksOf(spots, byId);
  const columns: Spot[][] = [];
  for (const spot of spots) {
    const rank = ranks.get(spot.id) ?? 0;
    const column = columns[rank] ?? [];
    columns[rank] = column;
    column.push(spot);
  }
  return { spots, byId, ...placed(columns.filter(Boolean), byId) };
}

function spotOf(node: GraphNode, root: GraphNode): Spot {
  return {
    id: node.id,
    kind: node.kind === "flow-run" ? "flow" : "task",
    name: node.name,
    of: node.of,
    type: node.states.at(-1)?.type ?? "PENDING",
    count: 1,
    x: 0,
    y: 0,
    upstream: [...new Set(Object.values(node.upstream).flat())],
    inside: node.above === root.id ? null : node.above,
  };
}

/** Runs that are counted only, as one. */
function foldsOf(node: GraphNode, root: GraphNode): Spot[] {
  return node.folds.map((fold) => {
    const entries = Object.entries(fold.states) as [StateType, number][];
    const count = entries.reduce((sum, [, each]) => sum + each, 0);
    const worst = entries.sort((one, other) => weight(other[0]) - weight(one[0]))[0];
    return {
      id: `${node.id}/${fold.kind}/${fold.of}`,
      kind: "fold" as const,
      name: `${count.toLocaleString("en")} more`,
      of: fold.of,
      type: worst?.[0] ?? "PENDING",
      states: fold.states,
      count,
      x: 0,
      y: 0,
      upstream: [],
      inside: node.id === root.id ? null : node.id,
    };
  });
}

/** Of many states the one that should be seen. */
function weight(type: StateType): number {
  const order: StateType[] = ["COMPLETED", "SCHEDULED", "PENDING", "CANCELLED", "RUNNING", "CANCELLING", "PAUSED", "CRASHED", "FAILED"];
  return order.indexOf(type);
}

/** How many steps each is from those that take nothing, by the longest way. */
function ranksOf(spots: Spot[], byId: Map<string, Spot>): Map<string, number> {
  const ranks = new Map<string, number>();
  const later = new Map<string, string[]>();
  const waits = new Map<string, number>();
  for (const spot of spots) {
    const before = [...spot.upstream, ...(spot.inside && byId.has(spot.inside) ? [spot.inside] : [])];
    waits.set(spot.id, before.length);
    for (const id of before) later.set(id, [...(later.get(id) ?? []), spot.id]);
  }
  const ready = spots.filter((each) => waits.get(each.id) === 0).map((each) => each.id);
  for (const id of ready) ranks.set(id, 0);
  for (let id = ready.pop(); id !== undefined; id = ready.pop()) {
    for (const next of later.get(id) ?? []) {
      ranks.set(next, Math.max(ranks.get(next) ?? 0, (ranks.get(id) ?? 0) + 1));
      const left = (waits.get(next) ?? 1) - 1;
      waits.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return ranks;
}

function placed(columns: Spot[][], byId: Map<string, Spot>): { width: number; height: number } {
  let x = 0;
  let tallest = 0;
  const heights: number[] = [];
  for (const column of columns) {
    // Near those that it takes its values from: fewer lines cross.
    const wish = (spot: Spot) => {
      const ys = spot.upstream.map((id) => byId.get(id)?.y ?? 0);
      return ys.length ? ys.reduce((sum, each) => sum + each, 0) / ys.length : 0;
    };
    const sorted = column.map((spot, index) => ({ spot, at: wish(spot), index }));
    sorted.sort((one, other) => one.at - other.at || one.index - other.index);
    const parts = Math.ceil(sorted.length / COLUMN);
    const rows = Math.ceil(sorted.length / parts);
    sorted.forEach(({ spot }, index) => {
      spot.x = x + Math.floor(index / rows) * (WIDTH + 14);
      spot.y = (index % rows) * (HEIGHT + GAP_Y);
    });
    const height = rows * (HEIGHT + GAP_Y);
    heights.push(height);
    tallest = Math.max(tallest, height);
    x += parts * (WIDTH + 14) + GAP_X;
  }
  columns.forEach((column, index) => {
    for (const spot of column) spot.y += (tallest - (heights[index] ?? 0)) / 2;
  });
  return { width: Math.max(x - GAP_X, WIDTH), height: Math.max(tallest, HEIGHT) };
}
