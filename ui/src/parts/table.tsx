// A dense list: one line a thing. Rows take the focus (j and k move it), Enter opens what the row is about.
import type { ComponentChildren } from "preact";

export interface Column<T> {
  title: string;
  /** A class for the column: `number` sets it right, `wide` lets it take the room, `narrow-hidden` goes first. */
  kind?: string;
  cell: (item: T) => ComponentChildren;
}

interface Props<T> {
  label: string;
  items: T[];
  columns: Column<T>[];
  id: (item: T) => string;
  open?: (item: T) => void;
  /** Classes of a row. */
  mark?: (item: T) => string;
}

export function Table<T>({ label, items, columns, id, open, mark }: Props<T>) {
  return (
    <div class="scroller" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((each) => (
              <th key={each.title} scope="col" class={each.kind ?? ""}>
                {each.title || <span class="hidden">Choose</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr
              key={id(item)}
              class={mark?.(item) ?? ""}
              data-row={id(item)}
              tabIndex={open ? 0 : undefined}
              onKeyDown={(event) => {
                if (event.key === "Enter" && event.target === event.currentTarget) open?.(item);
              }}
              onClick={(event) => {
                if (open && !(event.target as Element).closest("a, button, input, label") && !getSelection()?.toString())
                  open(item);
              }}
            >
              {columns.map((each) => (
                <td key={each.title} class={each.kind ?? ""}>
                  {each.cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
