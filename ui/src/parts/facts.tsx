// What is known of a thing, as names and values.
import type { ComponentChildren } from "preact";

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  if (children === null || children === undefined || children === "" || children === false) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Json({ value }: { value: unknown }) {
  return <pre class="code">{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>;
}

/** Values by name, as the record has them: texts. */
export function Values({ values, none }: { values: Record<string, unknown> | undefined; none: string }) {
  const entries = Object.entries(values ?? {});
  if (!entries.length) return <p class="quiet">{none}</p>;
  return (
    <dl class="values">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>
            <code>{name}</code>
          </dt>
          <dd>
            <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function Tags({ tags, link }: { tags?: string[]; link?: (tag: string) => string }) {
  return (
    <>
      {(tags ?? []).map((tag) =>
        link ? (
          <a key={tag} class="tag" href={link(tag)}>
            {tag}
          </a>
        ) : (
          <span key={tag} class="tag">
            {tag}
          </span>
        ),
      )}
    </>
  );
}
