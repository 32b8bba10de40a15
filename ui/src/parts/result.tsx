// What a run gave. The bytes are read only where they are JSON: a pickle is opened in a program of its owner, never here.
import type { ResultRef } from "../generated/api";
import { bytes, millis, moment } from "../words";
import { Fact, Facts, Json } from "./facts";

export function Result({ result, over }: { result: ResultRef | null; over: boolean }) {
  if (!result) return <p class="quiet">{over ? "No result is kept." : "None yet."}</p>;
  const value = readable(result);
  const expires = millis(result.expires);
  return (
    <>
      <Facts>
        <Fact name="Written by">{result.serializer}</Fact>
        <Fact name="Size">{bytes(result.size ?? 0)}</Fact>
        <Fact name="Stored at">{result.key ? `${result.storage ?? ""} ${result.key}` : "in the record"}</Fact>
        <Fact name="Expires">{expires === null ? null : moment(expires)}</Fact>
      </Facts>
      {value !== undefined ? (
        <Json value={value} />
      ) : (
        <p class="quiet">
          Its bytes are read in Python: <code>state.result()</code>.
        </p>
      )}
    </>
  );
}

function readable(result: ResultRef): unknown {
  if (!result.inline || !result.serializer.startsWith("json")) return undefined;
  try {
    const raw = Uint8Array.from(atob(result.inline), (each) => each.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(raw));
  } catch {
    return undefined;
  }
}
