"use strict";
// Shows openapi.json and sends requests. Text goes into the page as text only; the token is kept in memory only.

let token = "";

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function resolve(document, value, depth = 0) {
  if (value && value.$ref && depth < 20) {
    const found = value.$ref.replace("#/", "").split("/").reduce((place, key) => place[key], document);
    return resolve(document, found, depth + 1);
  }
  return value;
}

function exampleOf(document, schema, depth = 0) {
  const known = resolve(document, schema) || {};
  if (known.examples && known.examples.length) return known.examples[0];
  if ("const" in known) return known.const;
  if (known.default !== undefined) return known.default;
  if (depth > 6) return null;
  if (known.anyOf) return exampleOf(document, known.anyOf.find((item) => item.type !== "null") || {}, depth + 1);
  if (known.enum) return known.enum[0];
  if (known.properties) {
    const required = new Set(known.required || []);
    const shown = Object.entries(known.properties).filter(([name]) => required.has(name));
    return Object.fromEntries(shown.map(([name, inner]) => [name, exampleOf(document, inner, depth + 1)]));
  }
  return { array: [], object: {}, integer: 0, number: 0, boolean: false }[known.type] ?? "";
}

function bodyExample(document, operation) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (!content) return null;
  const named = Object.values(content.examples || {})[0];
  return named ? named.value : exampleOf(document, content.schema);
}

function parametersTable(operation, inputs) {
  const rows = (operation.parameters || []).map((parameter) => {
    const input = element("input", { name: parameter.name, ariaLabel: parameter.name });
    const examples = (parameter.schema && parameter.schema.examples) || [];
    if (parameter.required && examples.length) input.value = examples[0];
    inputs.push({ parameter, input });
    const about = parameter.description || (parameter.schema && parameter.schema.description) || "";
    return element("tr", {}, element("td", {}, element("code", { textContent: parameter.name })),
      element("td", { textContent: parameter.in }), element("td", {}, input), element("td", { textContent: about }));
  });
  return rows.length ? element("table", {}, ...rows) : "";
}

async function send(method, path, inputs, body, output) {
  let target = path;
  const query = new URLSearchParams();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (!input.value) continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const options = { method, headers };
  if (body !== null) {
    headers["Content-Type"] = "application/json";
    options.body = body;
  }
  const root = document.location.pathname.replace(/\/docs\/?$/, "");
  try {
    const answer = await fetch(`${root}${target}${query.size ? `?${query}` : ""}`, options);
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: as it is */ }
    const tag = answer.headers.get("ETag");
    output.textContent = `${answer.status} ${answer.statusText}${tag ? `\nETag: ${tag}` : ""}\n\n${shown}`;
  } catch (error) {
    output.textContent = `no answer: ${error.message}`;
  }
}

function operationView(document_, method, path, operation) {
  const inputs = [];
  const role = operation["x-role"] === undefined ? "public" : operation["x-role"] || "any role";
  const example = bodyExample(document_, operation);
  const body = example === null ? null
    : element("textarea", { value: JSON.stringify(example, null, 2), spellcheck: false, ariaLabel: "body" });
  const output = element("pre", { hidden: true });
  const button = element("button", { type: "button", textContent: "Send" });
  button.addEventListener("click", () => {
    output.hidden = false;
    send(method.toUpperCase(), path, inputs, body && body.value, output);
  });
  const answers = Object.entries(operation.responses).map(([status, answer]) => `${status} ${answer.description}`);
  return element("details", { id: operation.operationId },
    element("summary", {}, element("span", { className: "method", textContent: method.toUpperCase() }),
      element("span", { className: "path", textContent: path }),
      element("span", { className: "role", textContent: role })),
    element("p", { textContent: operation.description || operation.summary }),
    parametersTable(operation, inputs), ...(body ? [body] : []), button, output,
    element("p", { textContent: `Answers: ${answers.join(" · ")}` }));
}

async function show() {
  const answer = await fetch("openapi.json");
  const document_ = await answer.json();
  const byTag = new Map();
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["other"])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(operationView(document_, method, path, operation));
    }
  }
  const about = element("pre", { textContent: document_.info.description });
  const sections = [...byTag].map(([tag, views]) => element("section", {}, element("h2", { textContent: tag }), ...views));
  document.getElementById("operations").replaceChildren(about, ...sections);
}

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const who = document.getElementById("who");
  if (form.token.value) {
    token = form.token.value;
    who.textContent = "using the token";
    return;
  }
  const answer = await fetch("v1/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: form.elements.name.value, password: form.password.value }),
  });
  const content = await answer.json();
  token = content.access_token || "";
  form.password.value = "";
  who.textContent = token ? "logged in" : content.detail;
});

show().catch((error) => {
  document.getElementById("operations").textContent = `the description cannot be loaded: ${error.message}`;
});
