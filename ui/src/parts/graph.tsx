// What took values from what. Far away the runs are blocks of colour, near they have names; only what is seen is drawn.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Graph as GraphData, readFlowRunGraph, type StateType } from "../generated/api";
import { LOOKS } from "../generated/states";
import { HEIGHT, type Layout, layoutOf, type Spot, WIDTH } from "../layout";
import { useLoaded } from "../load";
import { query, setQuery } from "../route";
import { many } from "../words";
import { Empty, Problem } from "./notices";
import { glyphOf } from "./state";

const NEAR = 0.42;
const SHOWN = ["20", "100", "1000", "10000"];
const MOST = 10_000;

interface Props {
  flowRun: string;
  version: number;
  running: boolean;
  chosen: string | null;
  choose: (id: string, kind: "task" | "flow") => void;
}

export function Graph({ flowRun, version, running, chosen, choose }: Props) {
  const shown = SHOWN.includes(query.value.get("shown") ?? "") ? Number(query.value.get("shown")) : 20;
  // While it runs the graph grows: it is read with the run's changes, and no more than every two seconds.
  const { value, error, reload } = useLoaded(() => readFlowRunGraph({ id: flowRun, shown }), [flowRun, shown], running ? 2 : undefined);
  useEffect(() => void (value.peek() && reload()), [running, running ? 0 : version]);
  const graph = value.value;
  return (
    <section class="graph" aria-label="Dependency graph">
      <div class="toolbar">
        <label>
          At most{" "}
          <select value={String(shown)} onChange={(event) => setQuery({ shown: event.currentTarget.value })}>
            {SHOWN.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>{" "}
          runs of one task
        </label>
        <span class="quiet">{graph ? many(graph.nodes.length - 1, "node") : ""}</span>
      </div>
      <Problem text={error.value} retry={reload} />
      {graph && <Drawn graph={graph} chosen={chosen} choose={choose} />}
    </section>
  );
}

function Drawn({ graph, chosen, choose }: { graph: GraphData } & Pick<Props, "chosen" | "choose">) {
  const layout = useMemo(() => layoutOf(bounded(graph)), [graph]);
  const box = useRef<HTMLDivElement>(null);
  const size = useSignal({ width: 800, height: 480 });
  const view = useSignal<{ x: number; y: number; scale: number } | null>(null);
  const grabbed = useRef<{ x: number; y: number } | null>(null);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const sizes = new ResizeObserver(() => (size.value = { width: element.clientWidth, height: element.clientHeight }));
    sizes.observe(element);
    const turned = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey) return;
      event.preventDefault();
      const area = element.getBoundingClientRect();
      zoomBy(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX - area.left, event.clientY - area.top);
    };
    element.addEventListener("wheel", turned, { passive: false });
    return () => {
      sizes.disconnect();
      element.removeEventListener("wheel", turned);
    };
  }, []);

  const { width, height } = size.value;
  const whole = fitting(layout, width, height);
  const { x, y, scale } = view.value ?? whole;

  function zoomBy(factor: number, atX = size.peek().width / 2, atY = size.peek().height / 2): void {
    const now = view.peek() ?? fitting(layout, size.peek().width, size.peek().height);
    const scale = Math.min(Math.max(now.scale * factor, 0.01), 2.5);
    view.value = {
      scale,
      x: now.x + atX / now.scale - atX / scale,
      y: now.y + atY / now.scale - atY / scale,
    };
  }

  if (!layout.spots.length) return <Empty title="Nothing was called yet." />;
  const seen = layout.spots.filter(
    (each) => each.x + WIDTH >= x && each.x <= x + width / scale && each.y + HEIGHT >= y && each.y <= y + height / scale,
  );
  const near = scale >= NEAR;
  return (
    <div
      class="graph-frame"
      ref={box}
      onPointerDown={(event) => {
        if ((event.target as Element).closest("button, .spot")) return;
        grabbed.current = { x: event.clientX, y: event.clientY };
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        if (!grabbed.current) return;
        const by = { x: event.clientX - grabbed.current.x, y: event.clientY - grabbed.current.y };
        grabbed.current = { x: event.clientX, y: event.clientY };
        view.value = { scale, x: x - by.x / scale, y: y - by.y / scale };
      }}
      onPointerUp={() => (grabbed.current = null)}
    >
      <div class="graph-keys">
        <button type="button" aria-label="Nearer" onClick={() => zoomBy(1.4)}>
          +
        </button>
        <button type="button" aria-label="Farther" onClick={() => zoomBy(1 / 1.4)}>
          −
        </button>
        <button type="button" onClick={() => (view.value = null)}>
          All
        </button>
      </div>
      <svg width={width} height={height} viewBox={`${x} ${y} ${width / scale} ${height / scale}`} role="group" aria-label="Runs and what they took values from">
        <path class="edges" d={edges(layout, seen, near)} />
        <path class="edges inside" d={insides(layout, seen)} />
        {near
          ? seen.map((each) => <Node key={each.id} spot={each} chosen={each.id === chosen} choose={choose} />)
          : blocks(seen).map(([type, d]) => <path key={type} class={`block state-${type.toLowerCase()}`} d={d} />)}
      </svg>
    </div>
  );
}

function Node({ spot, chosen, choose }: { spot: Spot; chosen: boolean; choose: Props["choose"] }) {
  const pick = () => {
    if (spot.kind === "fold") setQuery({ tab: null, name: spot.of });
    else choose(spot.id, spot.kind);
  };
  const tally = spot.states
    ? Object.entries(spot.states).map(([type, count]) => `${count} ${LOOKS[type as StateType].glyph}`).join("  ")
    : "";
  const label = spot.kind === "fold" ? `${spot.name} of ${spot.of}` : spot.name;
  return (
    <g
      class={`spot ${spot.kind} state-${spot.type.toLowerCase()}${chosen ? " chosen" : ""}`}
      transform={`translate(${spot.x} ${spot.y})`}
      tabIndex={0}
      role="button"
      aria-label={`${label}, ${spot.type.toLowerCase()}`}
      onClick={pick}
      onKeyDown={(event) => event.key === "Enter" && pick()}
    >
      <title>{`${label} ${tally}`}</title>
      <rect width={WIDTH} height={HEIGHT} rx="4" />
      <rect class="mark" width="4" height={HEIGHT} rx="2" />
      <text x="12" y="17">
        {glyphOf(spot.type)} {cut(label, 24)}
      </text>
    </g>
  );
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

function fitting(layout: Layout, width: number, height: number): { x: number; y: number; scale: number } {
  const scale = Math.min(1, width / (layout.width + 40), height / (layout.height + 40));
  return { scale, x: (layout.width - width / scale) / 2, y: (layout.height - height / scale) / 2 };
}

/** A graph of more nodes than are drawn is cut, the first ones first. */
function bounded(graph: GraphData): GraphData {
  return graph.nodes.length > MOST ? { nodes: graph.nodes.slice(0, MOST) } : graph;
}

function edges(layout: Layout, seen: Spot[], near: boolean): string {
  let d = "";
  for (const spot of seen) {
    for (const id of spot.upstream) {
      const from = layout.byId.get(id);
      if (!from) continue;
      const x1 = from.x + WIDTH;
      const y1 = from.y + HEIGHT / 2;
      const y2 = spot.y + HEIGHT / 2;
      const middle = near ? `C${x1 + 40} ${y1} ${spot.x - 40} ${y2} ` : "L";
      d += `M${x1} ${y1}${middle}${spot.x} ${y2}`;
    }
  }
  return d;
}

function insides(layout: Layout, seen: Spot[]): string {
  let d = "";
  for (const spot of seen) {
    const above = spot.inside && layout.byId.get(spot.inside);
    if (above) d += `M${above.x + WIDTH} ${above.y + HEIGHT / 2}L${spot.x} ${spot.y + HEIGHT / 2}`;
  }
  return d;
}

function blocks(seen: Spot[]): [StateType, string][] {
  const found = new Map<StateType, string>();
  for (const { type, x, y } of seen) found.set(type, `${found.get(type) ?? ""}M${x} ${y}h${WIDTH}v${HEIGHT}h${-WIDTH}z`);
  return [...found];
}
