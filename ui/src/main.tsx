// Where the page begins: who looks, where they are, and the frame around every view.
import { render } from "preact";
import { App } from "./app";
import { pressed } from "./keys";
import { followLinks } from "./route";
import { findOut } from "./session";
import { applyTheme } from "./theme";

applyTheme();
addEventListener("keydown", pressed);
addEventListener("click", followLinks);
void findOut().catch(() => setTimeout(() => location.reload(), 3_000));
const place = document.getElementById("app");
if (place) render(<App />, place);
