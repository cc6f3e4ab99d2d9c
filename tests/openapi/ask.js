// Asks a real controller for all that controller/http/openapi.json documents, and holds the
// answers against it.
//
//   node ask.js SOURCE SOCKET SEEN whole   three controllers, the group `orders` steady
//   node ask.js SOURCE SOCKET SEEN alone   the two others are gone; then the balance is drawn
//
// SOURCE: the top of the sources. SEEN: a file for what was answered, from the first to the
// second call.
"use strict";
const fs = require("fs"), http = require("http"), path = require("path");
const Ajv = require("ajv/dist/2020"), formats = require("ajv-formats");

const [source, socket, seenFile, phase] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(source, name), "utf8");
const doc = JSON.parse(read("controller/http/openapi.json"));
const ajv = formats(new Ajv({strict: false, allErrors: true}));
ajv.addSchema(doc, "doc", undefined, false);

// What cannot be had from this cluster's Unix sockets, and which test has it instead.
const elsewhere = {
  events: {200: "unit.http.events"}, // it has no end
  "*": {401: "unit.http.guests", 403: "unit.http.guests", 429: "unit.http.guests"},
  acknowledge: {200: "unit.http.api"}, // there is no alarm here
  retry: {409: "unit.http.keys"},      // while another one of its key is under way
  // Refused only where the group has gone between the question and its entry.
  pause: {409: "unit.http.api"},
  resume: {409: "unit.http.api"},
  remove: {200: "unit.http.api"},      // the gates of fake agents do not let go
  approve: {200: "unit.http.approvals"}, // all who ask here are root: one person
  // These controllers have no key to sign with.
  "audit-export": {200: "real.daemon.audit", 404: "unit.http.audit"},
  "audit-point": {200: "real.daemon.audit"},
  "audit-rows": {200: "real.daemon.audit", 409: "unit.http.audit"},
};

const wrong = [];
const seen = new Set(phase === "alone" ? JSON.parse(fs.readFileSync(seenFile)) : []);
const say = (text) => wrong.push(text);
const operations = [];
for (const [template, item] of Object.entries(doc.paths))
  for (const [method, op] of Object.entries(item))
    if (method !== "parameters") operations.push({template, method: method.toUpperCase(), op});

// The table in the code and the document name the same routes.
function compareRoutes() {
  const rows = [...read("controller/http/route.c")
    .matchAll(/\{ROUTE_\w+,\s*"([a-z-]+)",\s*"([A-Z]+)",\s*"([^"]+)"\}/g)]
    .map((m) => `${m[2]} ${m[3]} ${m[1]}`).sort();
  const documented = operations
    .map((o) => `${o.method} ${o.template.replace(/\{[a-z]+\}/, "*")} ${o.op.operationId}`).sort();
  if (rows.length === 0) say("no routes were found in route.c");
  for (const r of rows) if (!documented.includes(r)) say(`not documented: ${r}`);
  for (const r of documented) if (!rows.includes(r)) say(`not in route.c: ${r}`);
}

// Each refusal of the state machine is a documented code.
function compareRefusals() {
  const codes = doc.components.responses.Refused.content["application/problem+json"]
    .schema.allOf[1].properties.code.enum;
  const names = [...read("controller/core/apply.h").matchAll(/X\(REFUSE_\w+, \d+, "([a-z-]+)"\)/g)];
  if (names.length === 0) say("no refusals were found in apply.h");
  for (const m of names) if (!codes.includes(m[1])) say(`409 does not document ${m[1]}`);
}

function send(method, target, body, headers) {
  return new Promise((resolve, reject) => {
    const req = http.request({socketPath: socket, method, path: target, timeout: 20000,
      headers: {...(body !== undefined ? {"Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(body)} : {}), ...headers}}, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (part) => { text += part; });
      res.on("end", () => { req.destroy(); resolve({status: res.statusCode, text,
        type: (res.headers["content-type"] || "").split(";")[0]}); });
    });
    req.on("timeout", () => req.destroy(new Error("no answer")));
    req.on("error", reject);
    if (headers && headers["Content-Length"]) req.flushHeaders(); // the answer comes before the body
    else req.end(body);
  });
}

const escape = (word) => encodeURIComponent(word.replace(/~/g, "~0").replace(/\//g, "~1"));

function validate(o, answer, told) {
  let where = ["paths", o.template, o.method.toLowerCase(), "responses", String(answer.status)];
  const documented = o.op.responses[answer.status];
  if (documented === undefined) return say(`${told}: ${answer.status} is not documented: ${answer.text}`);
  const response = documented.$ref ? doc.components.responses[documented.$ref.split("/").pop()] : documented;
  if (documented.$ref) where = documented.$ref.split("/").slice(1);
  if (response.content[answer.type] === undefined)
    return say(`${told}: ${answer.status} as ${answer.type} is not documented`);
  const check = ajv.getSchema("doc#/" + [...where, "content", answer.type, "schema"].map(escape).join("/"));
  const lines = answer.type === "application/x-ndjson" ? answer.text.trim().split("\n") : [answer.text];
  for (const line of lines)
    if (!check(JSON.parse(line)))
      return say(`${told}: ${answer.status}: ${ajv.errorsText(check.errors)}: ${line.slice(0, 600)}`);
}

const values = {entry: "1", group: "orders", run: "999999", controller: "mars", proposal: "999999", user: "nobody"};
const fill = (template, use) => template.replace(/\{([a-z]+)\}/, (_, name) => ({...values, ...use})[name]);
const find = (id) => operations.find((o) => o.op.operationId === id);

async function ask(id, {query = "", body, headers, use, method} = {}) {
  const o = find(id), target = fill(o.template, use) + query;
  const answer = await send(method || o.method, target, body, headers);
  const told = `${method || o.method} ${target}`;
  validate(o, answer, told);
  seen.add(`${id} ${answer.status}`);
  return {...answer, told};
}

async function expect(status, id, options) {
  const answer = await ask(id, options);
  if (answer.status !== status) say(`${answer.told}: ${answer.status}, not ${status}: ${answer.text.slice(0, 400)}`);
  return answer;
}

// The errors that each operation has for the same reason.
async function askForErrors(o) {
  const id = o.op.operationId, has = (status) => o.op.responses[status] !== undefined;
  const bodies = {declare: "{}", propose: '{"group": "nobody", "to": "west", "reason": "the document"}'};
  await expect(405, id, {method: "PUT"});
  await expect(431, id, {headers: {Authorization: "Bearer " + "x".repeat(9000)}});
  if (has(413)) await expect(413, id, {headers: {"Content-Length": (1 << 20) + 1}});
  if (has(400) && o.op.requestBody) await expect(400, id, {body: id === "declare" ? "[]" : "{", use: {run: "abc"}});
  else if (has(400) && (id === "log" || id === "events")) await expect(400, id, {query: "?limit=x"});
  else if (id === "audit-export") await expect(400, id, {query: "?from_index=x"});
  else if (id === "audit-point" || id === "audit-rows") await expect(400, id, {use: {entry: "abc"}});
  else if (has(400)) await expect(400, id, {query: "?stale=yes"});
  if (has(404) && (id === "log" || id === "events")) await expect(404, id, {query: "?group=nobody"});
  else if (has(404) && id !== "audit-export") await expect(404, id, {use: {group: "nobody"}, body: id === "replace" ? '{"id": 4}' : bodies[id]});
}

async function settle(phaseName) {
  for (let i = 0; i < 300; i++) {
    const status = JSON.parse((await ask("status")).text);
    if (status.groups.length > 0 && status.groups[0].phase === phaseName) return status;
    await new Promise((done) => setTimeout(done, 100));
  }
  const why = JSON.parse((await ask("why", {query: "?stale=ok"})).text).verdict;
  say(`the group did not come to ${phaseName}: ${why}`);
  return JSON.parse((await ask("status")).text);
}

async function until(what, isSo) {
  for (let i = 0; i < 900; i++) {
    if (isSo(JSON.parse((await ask("proposals")).text), JSON.parse((await ask("status")).text))) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  say(`not within 90 s: ${what}: ${(await ask("proposals")).text.slice(0, 900)}`);
}

async function askForUsers() {
  const anna = {use: {user: "anna"}};
  for (const id of ["whoami", "user-list"]) await expect(200, id);
  await expect(200, "user-add", {body: '{"name": "anna", "roles": ["operator", "approver"], "groups": ["orders"]}'});
  await expect(200, "user-token", {...anna, body: '{"days": 30}'});
  const token = JSON.parse((await expect(200, "user-token", {...anna, body: "{}"})).text);
  await expect(200, "user-list");
  await expect(200, "whoami", {headers: {Authorization: `Bearer ${token.token}`}});
  await expect(200, "user-revoke", {...anna, body: JSON.stringify({id: token.index})});
  await expect(200, "user-totp", {...anna, body: '{"remove": true}'});
  await expect(200, "user-unlock", anna);
  await expect(200, "user-remove", anna);
  for (const id of ["user-token", "user-revoke", "user-unlock", "user-remove"]) await expect(409, id, anna);
  await expect(409, "user-totp", {...anna, body: '{"remove": true}'});
  let last = 200;
  for (let i = 0; i < 100 && last === 200; i++)
    last = (await ask("user-add", {body: JSON.stringify({name: `user-${i}`, roles: ["viewer"]})})).status;
  if (last !== 409) say(`users have no bound: ${last}`);
}

// Each is open until somebody else agrees, or it is over.
async function askForProposals(group) {
  const because = (more) => ({body: JSON.stringify({...more, reason: "the document"})});
  const loss = because({loss: "pg-west"});
  await expect(409, "attest", loss); // it is in the sync set: nothing is missing
  await expect(409, "propose", because({group: "orders", to: "east"}));
  await expect(409, "switchover", because({to: "west", break_glass: true}));
  await expect(200, "declare", {body: JSON.stringify({...group, sync: "off", approvals: [{need: ["operator", "approver"]}]})});
  await expect(200, "export");
  for (const id of ["reject", "withdraw", "abort"]) {
    const made = JSON.parse((await expect(200, "attest", loss)).text), use = {proposal: made.index, run: made.index};
    await expect(200, "proposals");
    await expect(200, "status");
    await expect(409, "approve", {use, body: JSON.stringify({seen: made.proposal.seen})});
    await expect(200, id, {use, ...because({})});
    if (id !== "abort") await expect(409, id, {use, ...because({})});
  }
  for (const [id, body] of [["switchover", {to: "west"}], ["failover", {even_if_healthy: true}]]) {
    const made = JSON.parse((await expect(200, id, because(body))).text);
    await expect(200, "withdraw", {use: {proposal: made.index}});
  }
  await expect(200, "declare", {body: JSON.stringify(group)});
  await until("both in the sync set", (_, status) => status.groups[0].sync_set.length === 2);
  // Nobody else has to agree to it now. A fake standby never flushes to the end.
  const moved = JSON.parse((await expect(200, "propose", because({group: "orders", to: "west"}))).text).index;
  const is = (state) => ({proposals}) => proposals.some((p) => p.id === moved && p.state === state);
  await until("what was proposed runs", is("running"));
  await expect(200, "abort", {use: {run: moved}});
  await until("what was proposed is taken back", is("aborted"));
}

// The second one of a key is answered as the first, and another request under it is none.
async function askForKeys() {
  const key = {"Idempotency-Key": "the-document"};
  const first = await expect(200, "pause", {headers: key});
  await expect(200, "resume");
  const again = await expect(200, "pause", {headers: {"Idempotency-Key": '"the-document"'}});
  if (again.text !== first.text) say(`asked again with its key: ${again.text}, not ${first.text}`);
  if (JSON.parse((await ask("status")).text).groups[0].paused) say("what was asked again was done again");
  for (const o of operations)
    if (o.op.responses[422])
      await expect(422, o.op.operationId, {headers: key, body: o.op.operationId === "pause" ? "{}" : undefined});
  const made = {use: {user: "keys"}, headers: {"Idempotency-Key": "a-token"}};
  await expect(200, "user-add", {body: '{"name": "keys", "roles": ["viewer"]}'});
  await expect(200, "user-token", made);
  const gone = await expect(409, "user-token", made);
  if (JSON.parse(gone.text).code !== "secret-shown-once") say(`a token asked for again: ${gone.text}`);
  await expect(200, "user-remove", {use: {user: "keys"}});
}

async function whole() {
  const no = (id, body) => expect(409, id, {body: JSON.stringify(body)});
  for (const o of operations) await askForErrors(o);
  for (const id of ["status", "doctor", "version", "rules", "openapi", "export", "why", "log", "audit-keys"])
    await expect(200, id);
  for (const id of ["audit-export", "audit-point"]) await expect(409, id);
  for (const id of ["status", "export", "why"]) await expect(200, id, {query: "?stale=ok"});
  await expect(200, "log", {query: "?after=0&limit=1000"});
  const group = JSON.parse((await ask("export")).text);
  await expect(200, "declare", {body: JSON.stringify(group)});
  await expect(200, "declare", {query: "?dry=1", body: JSON.stringify({...group, sync: "strict"})});
  await no("declare", {...group, group: "other"});
  await expect(200, "retry");
  await expect(200, "pause");
  await expect(200, "resume");
  await askForKeys();
  await no("acknowledge", {reason: "looked into it"});
  await no("attach", {});
  await no("remove", undefined);
  await no("switchover", {to: "east"});
  await no("failover", {});
  await askForUsers();
  await askForProposals(group);
  await settle("steady");
  const before = JSON.parse((await ask("status")).text);
  await expect(200, "replace", {use: {controller: before.controllers[0].name}, body: `{"id": ${before.controllers[0].id}}`});
  await expect(409, "replace", {use: {controller: before.controllers[0].name}, body: '{"id": 9}'});
  await expect(409, "abort", {use: {run: before.groups[0].run ? before.groups[0].run.id : 1}});
  // Steady is what the log says; that the server runs is said by the next report.
  let begun = {status: 0, text: ""};
  for (let i = 0; i < 200 && begun.status !== 200; i++) {
    begun = await ask("switchover", {body: '{"to": "west", "reason": "the document"}'});
    if (begun.status !== 200) await new Promise((done) => setTimeout(done, 100));
  }
  if (begun.status !== 200) say(`${begun.told}: ${begun.status}, not 200: ${begun.text}`);
  await expect(200, "abort", {use: {run: JSON.parse(begun.text).run}});
  await settle("steady");
  await expect(200, "failover", {body: '{"even_if_healthy": true}'});
  await settle("steady");
  await expect(200, "detach");
  await no("detach", {});
  // Which of the pretended servers runs as a primary by now is chance, so it may not form;
  // a group that forms is let go as well.
  await expect(200, "attach", {body: "{}"});
  await expect(200, "detach");
  const unknown = await send("GET", "/api/v1/nothing");
  if (unknown.status !== 404 || unknown.type !== "application/problem+json") say("an unknown path is no problem");
}

async function alone() {
  for (const o of operations)
    if (o.op.responses[503]) await expect(503, o.op.operationId, {body: o.op.requestBody ? "{}" : undefined});
  for (const o of operations)
    for (const status of Object.keys(o.op.responses)) {
      const id = o.op.operationId;
      const by = elsewhere["*"][status] || (elsewhere[id] || {})[status];
      if (by === undefined && !seen.has(`${id} ${status}`)) say(`documented, and never answered: ${id} ${status}`);
      if (by !== undefined && seen.has(`${id} ${status}`)) say(`answered, so not ${by}'s: ${id} ${status}`);
    }
}

(async () => {
  compareRoutes();
  compareRefusals();
  await (phase === "alone" ? alone() : whole());
  fs.writeFileSync(seenFile, JSON.stringify([...seen]));
  for (const text of wrong) console.log(text);
  console.log(`${phase}: ${operations.length} operations, ${seen.size} kinds of answers, ${wrong.length} wrong`);
  process.exit(wrong.length === 0 ? 0 : 1);
})().catch((e) => { for (const text of [...wrong, e.stack]) console.log(text); process.exit(1); });
