import { useSignal } from "@preact/signals";
import { sentence } from "../ask";
import { Problem } from "../parts/notices";
import { signIn } from "../session";

export function SignInView() {
  const refused = useSignal<string | null>(null);
  const busy = useSignal(false);
  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    busy.value = true;
    try {
      await signIn(String(fields.get("name")), String(fields.get("password")));
    } catch (error) {
      refused.value = sentence(error);
    }
    busy.value = false;
  }
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void submit(event)}>
        <h1>Penstock</h1>
        <p class="quiet">This server wants to know who asks.</p>
        <div class="field">
          <label for="name">Name</label>
          <input id="name" name="name" autocomplete="username" autofocus required />
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input id="password" name="password" type="password" autocomplete="current-password" required />
        </div>
        <Problem text={refused.value} />
        <button type="submit" class="main" disabled={busy.value}>
          Sign in
        </button>
        <p class="quiet small">
          An admin makes users: <code>penstock auth create-user NAME</code>
        </p>
      </form>
    </main>
  );
}
