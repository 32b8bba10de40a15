// What a run left behind for people: tables, links, progress, text. All of it is drawn as text: it is a user's.
import { type Artifact, filterArtifacts } from "../generated/api";
import { useLoaded } from "../load";
import { briefly, millis } from "../words";
import { Json } from "./facts";
import { Empty, Problem } from "./notices";

export function Artifacts({ flowRun }: { flowRun: string }) {
  const { value, error, reload } = useLoaded(() => filterArtifacts({ filter: { flow_run_id: flowRun }, limit: 200 }), [flowRun], 5);
  const found = value.value?.items;
  return (
    <section class="artifacts">
      <Problem text={error.value} retry={reload} />
      {found && !found.length && (
        <Empty title="It left no artifacts.">
          <code>penstock.artifacts.create_markdown_artifact(…)</code>
        </Empty>
      )}
      {found?.map((each) => (
        <article key={each.id}>
          <h3>
            {each.key ?? each.type} <span class="tag">{each.type}</span>
            <span class="quiet"> {briefly(millis(each.updated) ?? 0)}</span>
          </h3>
          {each.description && <p>{each.description}</p>}
          <Body artifact={each} />
        </article>
      ))}
    </section>
  );
}

function Body({ artifact: { type, data } }: { artifact: Artifact }) {
  const rows = type === "table" ? rowsOf(data) : null;
  if (rows) {
    const [head, ...rest] = rows;
    return (
      <div class="scroller" role="region" aria-label="Table" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {head?.map((each, index) => (
                <th key={index} scope="col">
                  {each}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rest.slice(0, 500).map((row, index) => (
              <tr key={index}>
                {row.map((each, place) => (
                  <td key={place}>{each}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }
  if (type === "progress" && typeof data === "number") {
    return (
      <p>
        <progress max={100} value={data} /> {data.toFixed(1)} %
      </p>
    );
  }
  if (type === "image" && typeof data === "string") return <SafeLink href={data} text={data} />;
  if (type === "link" && data && typeof data === "object" && "link" in data) {
    const { link, text } = data as { link: string; text?: string };
    return <SafeLink href={link} text={text || link} />;
  }
  return <Json value={data} />;
}

/** A user's link: of the web, or it is only text. */
function SafeLink({ href, text }: { href: string; text: string }) {
  return /^https?:\/\//i.test(href) ? (
    <p>
      <a href={href} target="_blank" rel="noopener noreferrer nofollow">
        {text}
      </a>
    </p>
  ) : (
    <p>
      <code>{href}</code>
    </p>
  );
}

/** A table's rows, its head first: from a list of objects, a list of lists, or columns by name; as JSON or as text. */
function rowsOf(data: unknown): string[][] | null {
  let found = data;
  if (typeof data === "string") {
    try {
      found = JSON.parse(data);
    } catch {
      return null;
    }
  }
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value) ?? "");
  if (Array.isArray(found) && found.every((each) => each && typeof each === "object" && !Array.isArray(each))) {
    const names = [...new Set(found.flatMap((each) => Object.keys(each as object)))];
    return [names, ...found.map((each) => names.map((name) => text((each as Record<string, unknown>)[name])))];
  }
  if (Array.isArray(found) && found.every(Array.isArray)) return (found as unknown[][]).map((row) => row.map(text));
  if (found && typeof found === "object" && Object.values(found).every(Array.isArray)) {
    const columns = Object.entries(found as Record<string, unknown[]>);
    const length = Math.max(0, ...columns.map(([, values]) => values.length));
    const rows = Array.from({ length }, (_, index) => columns.map(([, values]) => text(values[index])));
    return [columns.map(([name]) => name), ...rows];
  }
  return null;
}
