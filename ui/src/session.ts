// Who looks at the page, and what they may do. The server decides; what is said here only keeps buttons honest.
import { computed, signal } from "@preact/signals";
import { Trouble, useCsrf } from "./ask";
import { type Me, type Role, login as askLogin, logout as askLogout, readMe } from "./generated/api";

/** Undefined: not known yet. Null: nobody who is signed in. */
export const me = signal<Me | null | undefined>(undefined);

const RANKS: Role[] = ["viewer", "operator", "admin"];
const rank = computed(() => (me.value ? RANKS.indexOf(me.value.role) : -1));

/** Whether who looks may do what asks for this role. */
export function may(role: Role): boolean {
  return rank.value >= RANKS.indexOf(role);
}

export async function findOut(): Promise<void> {
  try {
    take(await readMe());
  } catch (error) {
    if (error instanceof Trouble && error.status === 401) take(null);
    else throw error;
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  take(await askLogin({ name, password }));
}

export async function signOut(): Promise<void> {
  await askLogout({});
  take(null);
}

function take(found: Me | null): void {
  me.value = found;
  useCsrf(found?.csrf);
}
