// What a view has read from the server: its value, or why there is none; and how it is read again.
import { useSignal, type Signal } from "@preact/signals";
import { useCallback, useEffect, useRef } from "preact/hooks";
import { sentence } from "./ask";
import { reachable } from "./ask";

export interface Loaded<T> {
  value: Signal<T | undefined>;
  error: Signal<string | null>;
  loading: Signal<boolean>;
  /** Reads again; what is shown stays until the answer is there. */
  reload: () => Promise<void>;
}

/** Reads when the view appears and when `what` changes; an older answer never overwrites a newer one. With `every`, in
 * so many seconds again, while somebody looks. */
export function useLoaded<T>(read: () => Promise<T>, what: unknown[], every?: number): Loaded<T> {
  const value = useSignal<T | undefined>(undefined);
  const error = useSignal<string | null>(null);
  const loading = useSignal(true);
  const turn = useRef(0);
  const latest = useRef(read);
  latest.current = read;
  const reload = useCallback(async () => {
    const mine = ++turn.current;
    loading.value = true;
    try {
      const found = await latest.current();
      if (mine !== turn.current) return;
      value.value = found;
      error.value = null;
    } catch (trouble) {
      if (mine === turn.current) error.value = sentence(trouble);
    }
    if (mine === turn.current) loading.value = false;
  }, []);
  useEffect(() => {
    value.value = undefined;
    error.value = null;
    void reload();
    return () => {
      turn.current++;
    };
  }, what);
  useEffect(() => {
    if (!every) return;
    const timer = setInterval(() => !document.hidden && void reload(), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  useEffect(
    () =>
      reachable.subscribe((is) => {
        if (is && error.peek()) void reload();
      }),
    [],
  );
  return { value, error, loading, reload };
}
