// Signing in with the daemon's token; the daemon keeps it in a cookie that no script can read.

import { post } from "../api.js";
import { h, put } from "../dom.js";
import { attempt, field } from "../ui.js";

export function view(place, signedIn) {
  const token = h("input", { type: "password", required: true, autocomplete: "current-password" });
  const button = h("button.main", { type: "submit" }, "Sign in");
  put(place, h("h1", { tabindex: "-1" }, "Sign in"), h("p.soft", null, "This memory asks for a token. Whoever runs it makes one with ",
    h("code", null, "slowwave token"), "."),
  h("form.card", { onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => { await post("/v1/login", { token: token.value.trim() }); await signedIn(); }, button);
  } }, field("Token", token), h("div.actions", null, button)));
  token.focus();
}
