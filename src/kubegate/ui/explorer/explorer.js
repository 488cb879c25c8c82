// The page of the local proxy: it asks the API server through the proxy, as the proxy's user, and shows what it says.
"use strict";

// Paths are relative to the page, so that it works below a prefix and for each context.
if (!location.pathname.endsWith("/")) location.replace(`${location.pathname}/${location.hash}`);

const PROBED_AT_ONCE = 6;
const MOST_PROBED = 60;
const element = (id) => document.getElementById(id);
const at = (path) => new URL(path.replace(/^\//, ""), new URL(".", location.href)).href;

function made(name, text = "", properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, properties);
}

async function ask(path, options = {}) {
  const answer = await fetch(at(path), { headers: { Accept: "application/json" }, ...options });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.message || `${answer.status} ${answer.statusText}`);
  return body;
}

const said = (error) => error.message || String(error);

// --- Who, where, and what is served -------------------------------------------------------------------------------

function fact(name, value, good) {
  element("facts").append(made("dt", name), made("dd", value, { className: good === undefined ? "" : good ? "good" : "bad" }));
}

async function overview() {
  const info = await ask(".kubegate/info");
  document.title = `${info.context} · kubegate proxy`;
  element("where").textContent = `${info.context} · ${info.server}`;
  contexts(info);
  fact("Context", info.context);
  fact("API server", info.server);
  await Promise.all([who(), version()]);
  for (const note of info.notes) fact("Note", note);
  await groups();
}

async function who() {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  try {
    const answer = await ask("apis/authentication.k8s.io/v1/selfsubjectreviews", {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: JSON.stringify(review),
    });
    const user = answer.status.userInfo;
    fact("You are", user.username || "nobody");
    if (user.groups) fact("Groups", user.groups.join(", "));
  } catch (error) {
    fact("You are", said(error), false);
  }
}

async function version() {
  try {
    const found = await ask("version");
    fact("Kubernetes", `${found.gitVersion} (${found.platform})`);
  } catch (error) {
    fact("Kubernetes", said(error), false);
  }
}

async function groups() {
  const body = element("groups");
  const row = (name, versions) => {
    const line = made("tr");
    line.append(made("td", name), made("td", versions.join(", ")));
    body.append(line);
  };
  try {
    const [core, named] = await Promise.all([ask("api"), ask("apis")]);
    row("core", core.versions);
    for (const group of named.groups) row(group.name, group.versions.map((one) => one.version));
  } catch (error) {
    row(said(error), []);
  }
}

function contexts(info) {
  if (info.contexts.length < 2) return;
  const choice = element("context");
  for (const one of info.contexts) choice.append(made("option", one.name, { value: one.path, selected: one.name === info.context }));
  choice.addEventListener("change", () => location.assign(choice.value + location.hash));
  element("context-choice").hidden = false;
}

// --- Services -----------------------------------------------------------------------------------------------------

const encrypted = (port) => port.appProtocol === "https" || /^https\b/.test(port.name || "") || port.port === 443;

async function services(namespace) {
  const list = element("service-list");
  const note = element("services-note");
  list.replaceChildren();
  note.textContent = "Looking…";
  const path = namespace ? `api/v1/namespaces/${encodeURIComponent(namespace)}/services` : "api/v1/services";
  try {
    const found = await ask(`${path}?limit=500`);
    const ports = found.items.flatMap((service) =>
      (service.spec.ports || []).filter((port) => (port.protocol || "TCP") === "TCP").map((port) => ({ service, port })));
    note.textContent = `${ports.length} ports of ${found.items.length} services${found.metadata.continue ? ", and there are more" : ""}`;
    const rows = ports.map(({ service, port }) => serviceRow(list, service, port));
    await probeAll(rows.slice(0, MOST_PROBED));
    for (const row of rows.slice(MOST_PROBED)) row.answer.textContent = "not tried";
  } catch (error) {
    note.textContent = `${said(error)}${namespace ? "" : " Name a namespace whose services you may list."}`;
  }
}

function serviceRow(list, service, port) {
  const { namespace, name } = service.metadata;
  const scheme = encrypted(port) ? "https" : "http";
  const shown = `${scheme === "https" ? "https:" : ""}${name}:${port.name || port.port}`;
  const line = made("tr");
  const cell = made("td", port.name ? `${port.name} (${port.port})` : String(port.port));
  if (scheme === "https") cell.append(made("span", "encrypted, not verified", { className: "mark" }));
  const answer = made("td", "…");
  const action = made("td");
  const button = made("button", "Open", { type: "button" });
  button.setAttribute("aria-label", `Open ${name} ${port.name || port.port} of ${namespace}`);
  const which = { namespace, service: name, port: String(port.name || port.port), scheme };
  button.addEventListener("click", () => openService(button, which));
  action.append(button);
  line.append(made("td", namespace), made("td", name), cell, answer, action);
  list.append(line);
  const path = `api/v1/namespaces/${encodeURIComponent(namespace)}/services/${shown}/proxy/`;
  return { answer, path };
}

async function probeAll(rows) {
  const left = [...rows];
  const worker = async () => {
    for (let row = left.shift(); row; row = left.shift()) await probe(row);
  };
  await Promise.all(Array.from({ length: PROBED_AT_ONCE }, worker));
}

async function probe({ answer, path }) {
  try {
    const found = await fetch(at(path), { method: "HEAD", signal: AbortSignal.timeout(8000), redirect: "manual" });
    const redirected = found.type === "opaqueredirect";
    const good = redirected || (found.status < 500 && found.status !== 403) || found.status === 501;
    answer.textContent = redirected ? "answers (redirects)" : good ? `answers (${found.status})` : `no answer (${found.status})`;
    answer.className = good ? "good" : "bad";
  } catch {
    answer.textContent = "no answer";
    answer.className = "bad";
  }
}

async function openService(button, which) {
  button.disabled = true;
  // Opened at once, for a browser allows that only for the click itself; the address follows.
  const page = window.open("", "_blank");
  try {
    const found = await ask(".kubegate/open", {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json" },
      body: JSON.stringify(which),
    });
    element("services-note").replaceChildren(made("span", `${which.service}: `), made("a", found.url, { href: found.url, target: "_blank", rel: "noopener" }));
    if (page) {
      page.opener = null;
      page.location.replace(found.url);
    }
  } catch (error) {
    page?.close();
    element("services-note").textContent = said(error);
  } finally {
    button.disabled = false;
  }
}

// --- The API, by Swagger UI ---------------------------------------------------------------------------------------

let groupPaths = null;

async function api() {
  if (groupPaths) return;
  const choice = element("group");
  try {
    groupPaths = (await ask("openapi/v3")).paths;
    const names = Object.keys(groupPaths).filter((name) => /^apis?\/.*v\d/.test(name)).sort();
    choice.replaceChildren(...names.map((name) => made("option", name, { value: name })));
    choice.addEventListener("change", () => showGroup(choice.value));
    if (names.length) await showGroup(names.includes("api/v1") ? (choice.value = "api/v1") : choice.value);
  } catch (error) {
    groupPaths = null;
    element("api-note").textContent = said(error);
  }
}

async function showGroup(name) {
  element("api-note").textContent = "Reading…";
  try {
    const spec = await ask(groupPaths[name].serverRelativeURL);
    spec.servers = [{ url: new URL(".", location.href).pathname.replace(/\/$/, "") || "/" }];
    // The proxy adds the credential; one of the page's own would be refused.
    delete spec.security;
    delete spec.components?.securitySchemes;
    SwaggerUIBundle({
      spec,
      dom_id: "#swagger",
      deepLinking: false,
      docExpansion: "list",
      defaultModelsExpandDepth: -1,
      filter: true,
      tryItOutEnabled: true,
      validatorUrl: null,
      supportedSubmitMethods: ["get", "put", "post", "delete", "options", "head", "patch"],
    });
    element("api-note").textContent = "";
  } catch (error) {
    element("api-note").textContent = said(error);
  }
}

// --- Views and colours --------------------------------------------------------------------------------------------

const VIEWS = { overview: () => {}, services: once(() => services("")), api };

function once(work) {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function show() {
  const wanted = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "overview";
  for (const name of Object.keys(VIEWS)) {
    element(name).hidden = name !== wanted;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    name === wanted ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  VIEWS[wanted]();
}

function colour(dark) {
  document.documentElement.classList.toggle("dark-mode", dark);
  element("theme").setAttribute("aria-pressed", String(dark));
}

const chosen = localStorage.getItem("kubegate-dark");
colour(chosen === null ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "1");
element("theme").addEventListener("click", () => {
  const dark = !document.documentElement.classList.contains("dark-mode");
  localStorage.setItem("kubegate-dark", dark ? "1" : "0");
  colour(dark);
});
element("namespace-form").addEventListener("submit", (event) => {
  event.preventDefault();
  services(element("namespace").value.trim());
});
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => {
    // Some browsers tell nobody of a link within the page that a person has followed.
    event.preventDefault();
    location.hash = link.hash;
  });
}
addEventListener("hashchange", show);
show();
overview();
