// SPDX-FileCopyrightText: 2026 self_segmentation contributors
// SPDX-License-Identifier: Apache-2.0
// The page: its connection to the studio, and what it shows.
import { commands, element, place, plot, row, same, segments, words, yaml } from './parts.js';

const find = (id) => document.getElementById(id);
const stage = find('stage');
const pictures = find('pictures');
const SILENCE = 3; // seconds without a picture before it is reported
const RETRY = [300, 3000]; // milliseconds before the next try to connect: first, and at most

let studio = { nodes: [], looks: {}, backgrounds: [] }; // the choices
let node = { node: '', parameters: {}, pictures: [], actions: [] }; // the subscribed one
let rows = new Map(); // of its parameters, by name
let status = null; // what it last reported
let isPaused = false;
let view = localStorage.getItem('view') ?? '';

// ---- messages from and to the studio

let socket = null;
let wait = RETRY[0];
let lastId = 0;
let subscribed = null; // the last subscription that was sent
const asked = new Map(); // id to what takes the answer

function connect() {
  socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/socket`);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { wait = RETRY[0]; subscribe(); explain(); };
  socket.onclose = () => {
    subscribed = null;
    asked.forEach((take) => take({ done: false, message: 'the studio is gone' }));
    asked.clear();
    setTimeout(connect, wait);
    wait = Math.min(2 * wait, RETRY[1]);
    explain();
  };
  socket.onmessage = ({ data }) => (typeof data === 'string' ? take(JSON.parse(data)) : draw(data));
}

const isOpen = () => socket?.readyState === WebSocket.OPEN;
const send = (message) => { if (isOpen()) socket.send(JSON.stringify(message)); };

/** Ask the studio for something; returns its answer. */
function ask(message) {
  return new Promise((resolve) => {
    if (!isOpen()) { resolve({ done: false, message: 'the studio is gone' }); return; }
    asked.set(++lastId, resolve);
    send({ ...message, id: lastId });
  });
}

function take(message) {
  if (message.about === 'answer') {
    asked.get(message.id)?.(message);
    asked.delete(message.id);
  } else if (message.about === 'studio') {
    studio = message;
    showStudio();
  } else if (message.node !== node.node) {
    return; // of the node before
  } else if (message.about === 'node') {
    showNode(message);
  } else if (message.about === 'people') {
    showPeople(message.people);
  } else if (message.about === 'values') {
    Object.entries(message.values).forEach(([name, value]) => rows.get(name)?.hear(value));
    showChanges();
  } else if (message.about === 'figures') {
    showFigures(message);
  }
}

/** Subscribe to the pictures that are shown; to none while the page is hidden. */
function subscribe() {
  const show = document.hidden ? [] : shownKinds();
  if (show.length && node.has_people && find('boxes').checked) show.push('people');
  const message = { subscribe: node.node, show };
  if (!isOpen() || same(message, subscribed)) return;
  subscribed = message;
  send(message);
}

// ---- nodes, looks, backgrounds

function showStudio() {
  if (!node.node) choose(decodeURIComponent(location.hash.slice(1)) || studio.nodes[0] || '');
  const names = [...new Set([...studio.nodes, node.node])].filter(Boolean);
  const menu = find('node');
  if (!same([...menu.options].map((each) => each.value), names)) {
    menu.replaceChildren(...names.map((name) => element('option', { value: name, textContent: name })));
  }
  menu.value = node.node;
  menu.hidden = !names.length;
  showChoices();
  explain();
}

function choose(name) {
  if (name === node.node) return;
  node = { node: name, parameters: {}, pictures: [], actions: [] };
  status = null;
  if (name) history.replaceState(null, '', `#${encodeURIComponent(name)}`);
  showNode(node);
}

/** The looks and the backgrounds that this node can have, and which it has. */
function showChoices() {
  const { parameters } = node;
  const isLook = (name) => studio.looks[name].every((each) => each in parameters);
  const fitting = Object.keys(studio.looks).filter(isLook);
  find('looks').hidden = !fitting.length;
  const chips = find('looks').querySelector('.chips');
  if (!same([...chips.children].map((each) => each.dataset.name), fitting)) {
    chips.replaceChildren(...fitting.map((name) => {
      const made = element('button', { type: 'button', textContent: words(name).replace(/^./, (first) => first.toUpperCase()),
        onclick: () => change({ apply: name }, `Look ${words(name)}`) });
      made.dataset.name = name;
      return made;
    }));
  }
  const group = Object.keys(parameters).find((name) => name.endsWith('.image') && parameters[name.replace(/image$/, 'type')]);
  const names = group ? studio.backgrounds : [];
  find('backgrounds').hidden = !names.length;
  const tiles = find('backgrounds').querySelector('.tiles');
  if (!same([...tiles.children].map((each) => each.title), names)) {
    tiles.replaceChildren(...names.map((name) => element('button',
      { type: 'button', title: name, 'aria-label': `Background ${name}`, onclick: () => change({ background: name }, `Background ${name}`) },
      element('img', { src: `backgrounds/${encodeURIComponent(name)}`, alt: '', loading: 'lazy' }))));
  }
  const isImage = group && parameters[group.replace(/image$/, 'type')].value === 'image';
  for (const tile of tiles.children) {
    tile.setAttribute('aria-pressed', Boolean(isImage && parameters[group].value.endsWith(`/${tile.title}`)));
  }
}

// ---- the node and its parameters

function showNode(message) {
  const isOther = message.node !== node.node || !same(shape(message), shape(node)) || !rows.size;
  node = message;
  if (isOther) makeRows();
  else Object.values(node.parameters).forEach(({ name, value }) => rows.get(name).hear(value));
  // the rows keep what they show in the parameters that they were made of
  node.parameters = Object.fromEntries([...rows].map(([name, { parameter }]) => [name, parameter]));
  showActions();
  showViews();
  showChanges();
  explain();
}

const shape = ({ parameters }) => Object.values(parameters).map(({ value, ...rest }) => rest);

function makeRows() {
  const open = new Set([...document.querySelectorAll('#groups details[open]')].map((each) => each.dataset.group));
  const groups = new Map();
  rows = new Map();
  const inOrder = Object.values(node.parameters).sort((a, b) => a.fixed - b.fixed); // what can be changed comes first
  for (const parameter of inOrder) {
    const made = row(parameter, (value) => set(made, value));
    made.hear = (value) => { if (!made.isSending && !same(value, made.parameter.value)) made.show(value); }; // typing goes on
    made.show(parameter.value);
    rows.set(parameter.name, made);
    const [group] = place(parameter.name);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(made.box);
  }
  const first = groups.has('General') ? 'General' : [...groups.keys()][0];
  find('groups').replaceChildren(...[...groups].sort(([a], [b]) => (b === first) - (a === first)).map(([name, boxes]) => {
    const details = element('details', { open: open.size ? open.has(name) : name === first },
      element('summary', {}, name, element('i')), ...boxes);
    details.dataset.group = name;
    return details;
  }));
  search();
}

/** Set a parameter: one request at a time, then the latest value. */
async function set(made, value) {
  made.next = value;
  if (made.isSending) return;
  made.isSending = true;
  while (made.next !== undefined) {
    const sent = made.next;
    made.next = undefined;
    const { done, refused, message } = await ask({ set: { [made.parameter.name]: sent } });
    made.refuse(done ? '' : refused?.[made.parameter.name] ?? message ?? 'refused');
    if (done) made.parameter.value = sent;
  }
  made.isSending = false;
  made.show(made.parameter.value);
  showChanges();
}

/** Change many at once; it can be taken back. */
async function change(request, what) {
  const before = Object.fromEntries([...rows].filter(([, each]) => !each.parameter.fixed).map(([name, each]) => [name, each.parameter.value]));
  const { done, refused, message } = await ask(request);
  if (done) note(what, 'Undo', () => ask({ set: before }));
  else note(refused ? [...new Set(Object.values(refused))].join('; ') : message, '', null, true);
}

function showChanges() {
  const changed = [...rows.values()].filter((each) => each.isChanged);
  find('count').textContent = changed.length;
  find('reset').disabled = !changed.length;
  find('panel').hidden = !rows.size;
  for (const group of find('groups').children) {
    const count = group.querySelectorAll('.row.changed').length;
    group.querySelector('i').textContent = count ? `${count} changed` : '';
  }
  showChoices();
  if (find('changed').checked) search();
}

function search() {
  const sought = find('search').value.trim().toLowerCase().split(/\s+/);
  const onlyChanged = find('changed').checked;
  const isSearch = onlyChanged || sought[0] !== '';
  let count = 0;
  for (const each of rows.values()) {
    const fits = sought.every((word) => each.text.includes(word)) && (!onlyChanged || each.isChanged);
    each.box.hidden = !fits;
    count += fits;
  }
  for (const group of find('groups').children) {
    group.hidden = !group.querySelector('.row:not([hidden])');
    if (isSearch && !('was' in group.dataset)) group.dataset.was = group.open ? 'open' : '';
    if (isSearch) group.open = true;
    else if ('was' in group.dataset) { group.open = group.dataset.was === 'open'; delete group.dataset.was; }
  }
  find('nothing').hidden = count > 0 || !rows.size;
}

function showActions() {
  find('people').hidden = !node.has_people;
  const offered = node.actions.includes('pause') ? [isPaused ? 'resume' : 'pause'] : [];
  if (node.actions.includes('save')) offered.push('save');
  const titles = { save: 'Snapshot', pause: 'Pause', resume: 'Go on' };
  find('actions').replaceChildren(...offered.map((act) => element('button', { type: 'button', textContent: titles[act], onclick: async () => {
    const { done, message } = await ask({ act });
    if (done && act !== 'save') { isPaused = act === 'pause'; showActions(); }
    if (!done || message) note(message || 'refused', '', null, !done);
  } })));
}

// ---- the picture

function views() {
  const has = (kind) => node.pictures.includes(kind);
  const order = ['input', 'output', 'mask', 'alpha'];
  const kinds = [...node.pictures].sort((a, b) => (order.indexOf(a) + 1 || 9) - (order.indexOf(b) + 1 || 9));
  const all = kinds.map((kind) => [kind, words(kind).replace(/^./, (first) => first.toUpperCase())]);
  return [...(has('input') && has('output') ? [['wipe', 'Wipe']] : []), ...all, ...(kinds.length > 1 ? [['all', 'All']] : [])];
}

function currentView() {
  const names = views().map(([name]) => name);
  return names.includes(view) ? view : names.includes('output') && !names.includes('wipe') ? 'output' : names[0] ?? '';
}

function shownKinds() {
  const current = currentView();
  if (current === 'wipe') return ['input', 'output'];
  return current === 'all' ? views().map(([kind]) => kind).filter((kind) => node.pictures.includes(kind)) : [current].filter(Boolean);
}

function showViews() {
  const choices = views();
  const current = currentView();
  if (find('views').dataset.shown !== JSON.stringify([choices, current])) {
    find('views').dataset.shown = JSON.stringify([choices, current]);
    segments(find('views'), 'view', choices.length > 1 ? choices : [], current, (name) => {
      view = name;
      localStorage.setItem('view', name);
      showViews();
    });
  }
  const kinds = shownKinds();
  const figures = [...pictures.querySelectorAll('figure')];
  figures.filter((each) => !kinds.includes(each.dataset.kind)).forEach((each) => each.remove());
  for (const kind of kinds) {
    const made = figures.find((each) => each.dataset.kind === kind)
      ?? element('figure', { hidden: true }, element('canvas'), element('figcaption', { textContent: words(kind) }));
    made.dataset.kind = kind;
    pictures.append(made); // in order
  }
  pictures.append(find('line'), find('wipe'));
  pictures.dataset.view = current;
  const columns = current === 'all' ? (kinds.length > 4 ? 3 : 2) : 1;
  pictures.style.setProperty('--columns', columns);
  pictures.style.setProperty('--rows', current === 'all' ? Math.ceil(kinds.length / columns) : 1);
  pictures.querySelectorAll('figcaption').forEach((each) => { each.hidden = kinds.length < 2; });
  find('wipe').hidden = find('line').hidden = true; // until there is a picture
  if (figures.some((each) => !each.hidden)) find('wipe').hidden = find('line').hidden = false;
  subscribe();
}

let drawn = 0; // when, in milliseconds
const decoder = new TextDecoder();

async function draw(buffer) {
  try {
    const length = new DataView(buffer).getUint32(0);
    const head = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, length)));
    let at = 4 + length;
    const decoded = await Promise.all(head.pictures.map(async ([kind, size]) => {
      const data = new Uint8Array(buffer, at, size);
      at += size;
      return [kind, await createImageBitmap(new Blob([data]))];
    }));
    await new Promise(requestAnimationFrame);
    decoded.forEach(([kind, bitmap]) => paint(kind, bitmap));
    stage.dataset.frames = Number(stage.dataset.frames ?? 0) + 1;
    stage.dataset.latency = Date.now() / 1000 - head.stamp;
    const wasSilent = Date.now() - drawn > 1000 * SILENCE;
    drawn = Date.now();
    if (wasSilent) explain();
  } catch (error) {
    note(`A picture cannot be shown: ${error.message}`, '', null, true);
  } finally {
    send({ drew: 1 });
  }
}

function paint(kind, bitmap) {
  const figure = pictures.querySelector(`figure[data-kind="${CSS.escape(kind)}"]`);
  if (figure) {
    const canvas = figure.firstChild;
    const turn = (kind === 'input' && node.parameters['camera.rotation']?.value) || 0; // degrees; as the output is
    const [width, height] = turn % 180 ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
    if (canvas.width !== width || canvas.height !== height || figure.hidden) {
      [canvas.width, canvas.height] = [width, height];
      stage.style.setProperty('--ratio', width / height);
      figure.hidden = find('wipe').hidden = find('line').hidden = false;
    }
    const context = canvas.getContext('2d');
    const isMirrored = kind === 'input' && node.parameters.flip?.value === true;
    context.setTransform(isMirrored ? -1 : 1, 0, 0, 1, width / 2, height / 2);
    context.rotate(turn * Math.PI / 180);
    context.drawImage(bitmap, -bitmap.width / 2, -bitmap.height / 2);
  }
  bitmap.close();
}

/** Boxes with ids over every picture. */
function showPeople(people) {
  for (const figure of pictures.querySelectorAll('figure')) {
    const boxes = [...figure.querySelectorAll('.box')];
    const shown = find('boxes').checked ? people : [];
    shown.forEach(({ id, box, counts }, index) => {
      const made = boxes[index] ?? figure.appendChild(element('div', {}, element('span')));
      made.className = counts ? 'box' : 'box other';
      made.firstChild.textContent = id;
      ['left', 'top', 'width', 'height'].forEach((side, at) => { made.style[side] = `${100 * box[at]}%`; });
    });
    boxes.slice(shown.length).forEach((each) => each.remove());
  }
}

// ---- figures, and what the page waits for

const PLOTS = {
  rate: plot('Pictures', 'Hz', 0), latency: plot('Latency', 'ms', 0), cpu: plot('CPU', 'cores', 2), people: plot('People', '', 0),
};
const number = (text) => (text === undefined || Number.isNaN(parseFloat(text)) ? null : parseFloat(text));

function showFigures(message) {
  const values = message.values ?? {};
  status = message.message === undefined ? null : message;
  PLOTS.rate.add(message.rate || number(values['rate out (Hz)']));
  PLOTS.latency.add(message.latency === null ? null : 1000 * message.latency);
  PLOTS.cpu.add(number(values['CPU (cores)']));
  PLOTS.people.add(number(values.people));
  find('state').textContent = status?.message ?? 'no report on /diagnostics';
  find('state').dataset.level = status?.level ?? '';
  find('values').replaceChildren(...Object.entries(values).map(([name, value]) => element('div', {},
    element('dt', { textContent: name }), element('dd', { textContent: value }))));
  explain();
}

/** [what the page waits for, more]; null if it waits for nothing */
function trouble() {
  if (!isOpen()) return [`Waiting for the studio at ${location.host}`, 'ros2 run self_segmentation studio_node'];
  if (!node.node) return ['Waiting for a node that describes its parameters', 'ros2 launch self_segmentation segment.launch.py'];
  if (!rows.size) return [`Waiting for ${node.node}`, ''];
  if (node.hidden_for === '?') return ['Asking which nodes cover people', ''];
  if (node.hidden_for) return ['No picture', `${node.hidden_for} covers people, and this may be what its camera sees.`];
  if (!node.pictures.length) return ['This node shows no pictures', ''];
  if (Date.now() - drawn > 1000 * SILENCE) return ['Waiting for pictures', status?.level ? status.message : ''];
  return null;
}

function explain() {
  const found = trouble();
  const hasPicture = pictures.querySelector('figure:not([hidden])') !== null;
  const box = find('message');
  document.body.classList.toggle('gone', !isOpen());
  box.classList.toggle('over', hasPicture);
  if (box.dataset.shown === JSON.stringify([found, hasPicture])) return;
  box.dataset.shown = JSON.stringify([found, hasPicture]);
  box.replaceChildren(...(found ? [element('div', {}, element('strong', { textContent: found[0] }),
    ...(found[1] ? [element('p', {}, found[1].startsWith('ros2 ') ? element('code', { textContent: found[1] }) : found[1])] : []))] : []));
}

function note(text, action, act, isBad) {
  const made = element('div', { className: `note${isBad ? ' bad' : ''}` }, element('span', { textContent: text }));
  if (action) made.append(element('button', { type: 'button', textContent: action, onclick: () => { made.remove(); act(); } }));
  find('notes').append(made);
  while (find('notes').children.length > 3) find('notes').firstChild.remove();
  setTimeout(() => made.remove(), isBad ? 12000 : 6000);
}

// ---- fixed elements

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note('Copied');
  } catch { // without https the browser lets no page do it
    const box = find('text');
    box.firstChild.value = text;
    box.showModal();
    box.firstChild.select();
  }
}

function save() {
  const link = element('a', { download: `${node.node.split('/').pop()}.yaml`,
    href: URL.createObjectURL(new Blob([yaml(node.node, Object.values(node.parameters))], { type: 'application/yaml' })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

find('plots').append(...Object.values(PLOTS).map((each) => each.box));
find('node').onchange = (event) => choose(event.target.value);
find('boxes').onchange = () => { showPeople([]); subscribe(); };
find('search').oninput = search;
find('changed').onchange = search;
find('save').onclick = save;
find('copy').onclick = () => copy(commands(node.node, Object.values(node.parameters)));
find('reset').onclick = () => change({ set: Object.fromEntries([...rows].filter(([, each]) => each.isChanged)
  .map(([name, each]) => [name, each.parameter.default])) }, 'All at their defaults');
find('wipe').oninput = () => stage.style.setProperty('--wipe', `${find('wipe').value}%`);
document.addEventListener('visibilitychange', subscribe);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) { event.preventDefault(); find('search').focus(); }
});
setInterval(explain, 1000);
explain();
connect();
