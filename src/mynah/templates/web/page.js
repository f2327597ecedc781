// The bot talks here: llama.cpp in WebAssembly, from the files beside this one and no others.

const find = (id) => document.getElementById(id);
const settings = JSON.parse(find("settings").textContent);
let engine = null;
let stopping = null;

function say(text) {
  find("status").textContent = text;
}

// --- loading ---

async function load(signal) {
  const { Wllama } = await import("./wllama/index.js");
  const silent = { debug() {}, log() {}, warn() {}, error() {} }; // `explain` says what matters
  const wllama = new Wllama(
    { default: "./wllama/wllama.wasm" },
    { suppressNativeLog: true, logger: silent },
  );
  // For browsers without the newest of WebAssembly. Left out, it would come from a stranger's host.
  wllama.setCompat({ worker: "./wllama/compat.js", wasm: "./wllama/compat.wasm" });
  const file = await download(settings.file, signal);
  say("Starting the bot …");
  // On the processor, where it says the same everywhere; a bot of this size is quick enough there.
  await wllama.loadModel([file], { n_ctx: settings.window, n_parallel: 1, n_gpu_layers: 0 });
  return wllama;
}

async function download(name, signal) {
  const answer = await fetch(name, { signal });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  const bar = find("bar");
  bar.hidden = false;
  const parts = [];
  let loaded = 0;
  let told = -1;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    bar.value = loaded / settings.bytes;
    const tenth = Math.floor(bar.value * 10);
    if (tenth > told) say(`Loading the bot: ${tenth * 10} %`);
    told = tenth;
  }
  bar.hidden = true;
  return new Blob(parts);
}

// --- writing ---

async function write(prompt, temperature, signal, onText) {
  let text = "";
  await engine.createCompletion({
    prompt,
    temperature,
    top_p: settings.top_p,
    // Nothing else is cut off, and the order is that in which the bot was judged.
    top_k: 0,
    min_p: 0,
    samplers: ["temperature", "top_p"],
    max_tokens: settings.max_tokens,
    stop: ["\n"],
    seed: crypto.getRandomValues(new Uint32Array(1))[0] >>> 1,
    stream: true,
    abortSignal: signal,
    onData: (piece) => {
      text += piece.choices[0]?.text ?? "";
      onText(prompt + text);
    },
  });
  return (prompt + text).trimEnd();
}

async function writeOne(prompt, temperature, signal) {
  const draft = find("draft");
  draft.hidden = false;
  let post = "";
  let fault = null;
  for (let tries = 0; tries < settings.tries && !post.trim(); tries++) {
    draft.textContent = prompt;
    try {
      post = await write(prompt, temperature, signal, (text) => {
        draft.textContent = text;
      });
    } catch (error) {
      // Half of a letter, as a wild bot writes now and then, cannot leave the worker.
      if (error.name !== "RuntimeError") throw error;
      fault = error;
    }
  }
  draft.hidden = true;
  if (fault && !post) throw fault;
  return post;
}

async function writeAll(prompt, temperature, signal) {
  const wanted = temperature === 0 ? 1 : settings.posts; // at 0 all would be the same
  for (let number = 1; number <= wanted; number++) {
    say(`Writing post ${number} of ${wanted} …`);
    show(await writeOne(prompt, temperature, signal));
  }
  say(wanted === 1 ? "One post is written." : `${wanted} posts are written.`);
}

function show(post) {
  const item = document.createElement("li");
  const text = document.createElement("p");
  text.textContent = post;
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.setAttribute("aria-label", `Copy: ${post}`);
  copy.addEventListener("click", () => copyText(post));
  const mark = document.createElement("span");
  mark.className = "quiet";
  mark.textContent = "machine-made";
  item.append(text, copy, " ", mark);
  find("posts").append(item);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied. It is machine-made: say so where you show it.");
  } catch {
    say("This browser does not let a page copy. Select the text and copy it.");
  }
}

// --- the form ---

function busy(is) {
  // Whoever is on the one button is on the other afterwards, with the keyboard too.
  const [from, to] = is ? ["write", "stop"] : ["stop", "write"];
  const held = document.activeElement === find(from);
  find("write").disabled = is;
  find("stop").hidden = !is;
  if (held) find(to).focus();
}

async function onAsk(event) {
  event.preventDefault();
  stopping = new AbortController();
  find("posts").replaceChildren();
  busy(true);
  try {
    engine ??= await load(stopping.signal);
    const temperature = Number(find("temperature").value);
    await writeAll(find("prompt").value, temperature, stopping.signal);
  } catch (error) {
    explain(error);
  } finally {
    find("draft").hidden = find("bar").hidden = true;
    busy(false);
  }
}

function explain(error) {
  if (error.name === "AbortError") {
    say("Stopped.");
  } else if (error.name === "RuntimeError" && engine) {
    say(`What it wrote was no text, ${settings.tries} times. A lower temperature may help.`);
  } else if (engine) {
    say(`The bot could not go on: ${error.message}. A shorter beginning may help.`);
  } else {
    say(`The bot could not be loaded: ${error.message}. A newer browser may help.`);
  }
}

function openCard() {
  if (["#card", "#voice-report"].includes(location.hash)) {
    find("card").open = true;
    find(location.hash.slice(1))?.scrollIntoView();
  }
}

find("ask").addEventListener("submit", onAsk);
find("stop").addEventListener("click", () => stopping?.abort());
find("temperature").addEventListener("input", () => {
  find("heat").value = find("temperature").value;
});
addEventListener("hashchange", openCard);
openCard();
say("");
find("write").disabled = false;
