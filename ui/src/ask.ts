// How the UI asks the server: as anybody would, over REST. `generated/api.ts` has a function for every operation.
import { signal } from "@preact/signals";

/** What the server said no with: `code` is for programs, `message` for people. */
export class Trouble extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Whether the last request reached the server. */
export const reachable = signal(true);
/** Raised when the server wants to know who asks, and each time it does. */
export const unknownSince = signal(0);

let csrf: string | null = null;

/** The token that requests which change something carry; `read_me` gives it. */
export function useCsrf(token: string | null | undefined): void {
  csrf = token ?? null;
}

export async function ask<T>(method: string, path: string, args: object): Promise<T> {
  const rest: Record<string, unknown> = { ...args };
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = rest[name];
    delete rest[name];
    return encodeURIComponent(String(value));
  });
  const inQuery = method === "GET" || method === "DELETE";
  const headers: Record<string, string> = {};
  if (!inQuery) headers["content-type"] = "application/json";
  if (csrf !== null && method !== "GET") headers["penstock-csrf"] = csrf;
  const query = inQuery ? queryOf(rest) : "";
  const answer = await fetched(`/api${filled}${query}`, {
    method,
    headers,
    body: inQuery ? undefined : JSON.stringify(rest),
    credentials: "same-origin",
  });
  if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  throw await troubleOf(answer);
}

async function fetched(url: string, init: RequestInit): Promise<Response> {
  try {
    const answer = await fetch(url, init);
    reachable.value = true;
    return answer;
  } catch {
    reachable.value = false;
    throw new Trouble(0, "away", "The server cannot be reached. It is tried again.");
  }
}

async function troubleOf(answer: Response): Promise<Trouble> {
  if (answer.status === 401) unknownSince.value += 1;
  try {
    const { error } = (await answer.json()) as { error: { code: string; message: string } };
    return new Trouble(answer.status, error.code, error.message);
  } catch {
    return new Trouble(answer.status, "unreadable", `The server answered with status ${answer.status}.`);
  }
}

function queryOf(fields: Record<string, unknown>): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null) found.set(name, String(value));
  }
  const text = found.toString();
  return text && `?${text}`;
}

/** An error as a sentence. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
