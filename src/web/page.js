// The status page. Asks the endpoint that served it, and writes what it says as text, never as markup.
(() => {
'use strict';

const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const NONE = '\u2013';

// Elements

function el(tag, props, ...kids) {
	const node = document.createElement(tag);
	for (const [name, value] of Object.entries(props || {}))
		if (name in node && name !== 'role') node[name] = value;
		else node.setAttribute(name, value);
	node.append(...kids);
	return node;
}
function svg(tag, attributes, text) {
	const node = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
	if (text !== undefined) node.textContent = text;
	return node;
}
// Changes nothing where nothing has changed, so that a selection and the focus stay.
function put(node, text) {
	if (node.textContent !== text) node.textContent = text;
}
function mark(node, name) {
	if (node.className !== name) node.className = name;
}
// Makes the children of host those of the rows, in their order, each kept as long as its key is there.
function sync(host, rows, key, make, fill) {
	const kept = host.kept || (host.kept = new Map());
	const seen = new Set();
	rows.forEach((row, i) => {
		let k = key(row);
		while (seen.has(k)) k += '+';
		seen.add(k);
		if (!kept.has(k)) kept.set(k, make(row));
		const node = kept.get(k);
		if (host.children[i] !== node) host.insertBefore(node, host.children[i] || null);
		fill(node, row);
	});
	for (const [k, node] of kept)
		if (!seen.has(k)) {
			node.remove();
			kept.delete(k);
		}
}
// A table in host; a column is [label, class, what it writes into a cell]. The first one is the row's head.
// With roles, since some widths lay it out as cards, which takes a table's meaning from it.
function table(host, name, caption, columns, rows, key, nothing) {
	if (!rows.length) {
		host.body = null;
		if (host.textContent !== nothing || host.children.length !== 1)
			host.replaceChildren(el('p', {className: 'none'}, nothing));
		return;
	}
	if (!host.body) {
		host.body = el('tbody', {role: 'rowgroup'});
		host.replaceChildren(el('table', {className: name, role: 'table'},
			el('caption', {className: 'away'}, caption),
			el('thead', {role: 'rowgroup'}, el('tr', {role: 'row'}, ...columns.map(c =>
				el('th', {scope: 'col', className: c[1], role: 'columnheader'}, c[0])))),
			host.body));
	}
	sync(host.body, rows, key,
		() => el('tr', {role: 'row'}, ...columns.map((c, i) => i
			? el('td', {className: c[1], role: 'cell', 'data-label': c[0]})
			: el('th', {className: c[1], scope: 'row', role: 'rowheader'}))),
		(tr, row) => columns.forEach((c, i) => {
			const text = c[2](row, tr.children[i]);
			if (text !== undefined) put(tr.children[i], text);
			tr.children[i].toggleAttribute('data-none', text === NONE);
		}));
}
function tag(cell, kind, text) {
	if (!cell.firstElementChild) cell.replaceChildren(el('span'));
	mark(cell.firstElementChild, 'tag ' + String(kind).replace(/[^a-z_]/g, ''));
	put(cell.firstElementChild, text);
}
// A figure, and a bar of parts [class, from, to] in percent.
function bar(cell, kind, text, parts) {
	if (!cell.firstElementChild)
		cell.append(el('div', {className: kind}, el('span'),
			el('span', {className: 'bar', 'aria-hidden': 'true'}, ...parts.map(() => el('i')))));
	const [figure, rail] = cell.firstElementChild.children;
	put(figure, text);
	parts.forEach(([name, from, to], i) => {
		const style = rail.children[i].style;
		mark(rail.children[i], name);
		style.left = Math.min(from, 100) + '%';
		style.width = name === 'size' ? '' : Math.max(0, Math.min(to, 100) - from) + '%';
		style.display = to > from ? '' : 'none';
	});
}

// Figures

const known = v => v !== null && v !== undefined && !Number.isNaN(v);
const list = v => Array.isArray(v) ? v : [];
const sum = (rows, f) => rows.reduce((n, row) => n + (f(row) || 0), 0);
const fixed = (v, digits) => v.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
const num = v => known(v) ? fixed(v, Number.isInteger(v) ? 0 : 1) : NONE;
const percent = v => known(v) ? fixed(v, v < 99.95 && v > 0 ? 1 : 0) + ' %' : NONE;
const rate = v => known(v) ? fixed(v, v < 10 && v > 0 ? 1 : 0) : NONE;
function ms(v) {
	if (!known(v)) return NONE;
	if (v < 1000) return fixed(v, v < 1 ? 2 : v < 100 ? 1 : 0) + ' ms';
	return v < 60000 ? fixed(v / 1000, v < 10000 ? 1 : 0) + ' s' : age(v / 1000);
}
function age(s) {
	if (!known(s)) return NONE;
	if (s < 60) return Math.max(0, Math.floor(s)) + ' s';
	if (s < 3600) return Math.floor(s / 60) + ' min';
	if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
	return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}
const iso = at => new Date(at).toISOString();
const clock = at => iso(at).slice(11, 19);
const moment = (at, now) => known(at) ? (iso(at).slice(0, 10) === iso(now).slice(0, 10) ? '' : iso(at).slice(5, 10) + ' ') + clock(at) : NONE;
const words = s => String(s).replace(/_/g, ' ');

// What is asked for, how often in ms, and what has come of it. 401 ends the asking, since a browser may put a
// dialog in front of a person for each.

// What opens within a second of the server's is to be seen within two.
const PERIOD = 800;
const TIMEOUT = 4000;
const sources = {
	health: {url: '/api/v1/health/detailed', every: PERIOD, draw: drawHealth},
	pools: {url: '/api/v1/pools', every: PERIOD, draw: drawPools},
	recommendations: {url: '/api/v1/recommendations', every: 2000, draw: drawAdvice},
	alerts: {url: '/api/v1/alerts?limit=16', every: 2000, draw: drawAlerts},
	history: {every: 2000, draw: drawHistory},
};
const opened = Date.now();
let answered = null;
let asking = null;
let failures = 0;
let nextTry = 0;
let timer = 0;
let skew = 0;
const now = () => Date.now() + skew;

async function ask(source) {
	const abort = new AbortController();
	const alarm = setTimeout(() => abort.abort(), TIMEOUT);
	try {
		// With the origin, since a page may have been opened with a password in its address. And for JSON alone, so that
		// who has no rights any more is not asked for a password each second.
		const response = await fetch(location.origin + source.url, {headers: {Accept: 'application/json'}, cache: 'no-store', signal: abort.signal});
		const date = Date.parse(response.headers.get('Date'));
		let body = null;
		try {
			body = await response.json();
		} catch (error) {
			if (abort.signal.aborted) throw error;
		}
		// The header has whole seconds; only a clock that is wrong is worth correcting.
		if (date && Math.abs(date - now()) > 2000) skew = date - Date.now();
		source.locked = response.status === 401;
		if (body && (response.ok || (response.status === 503 && body.status))) {
			source.data = body;
			source.error = null;
		} else {
			source.error = {code: response.status, error: body && body.error, hint: body && body.hint};
			// What stays there would be taken for what is.
			if (source !== sources.health || source.locked) source.data = null;
		}
	} finally {
		clearTimeout(alarm);
	}
}
async function askAndDraw(source) {
	source.due = Date.now() + source.every - 50;
	try {
		await ask(source);
	} catch (error) {
		return false;
	}
	source.draw();
	return true;
}
async function round() {
	clearTimeout(timer);
	if (document.hidden || asking) return;
	const began = asking = Date.now();
	const due = Object.values(sources).filter(s => !s.locked && !(s.due > began));
	// While the server is gone one question is enough.
	if (failures) due.splice(0, due.length, ...due.filter(s => s === sources.health));
	if (sources.history.due === undefined || !(sources.history.due > began)) aimHistory();
	let alive = !due.includes(sources.health);
	await Promise.all(due.map(async s => {
		const fine = await askAndDraw(s);
		if (s === sources.health && fine) {
			alive = true;
			if (failures) for (const other of Object.values(sources)) other.due = 0;
			answered = Date.now();
			failures = 0;
			drawStatus();
		}
	}));
	asking = null;
	if (!alive) failures++;
	const delay = failures ? Math.min(1000 * 2 ** (failures - 1), 8000) : Math.max(100, PERIOD - (Date.now() - began));
	nextTry = Date.now() + delay;
	if (sources.health.locked) nextTry = 0;
	else timer = setTimeout(round, delay);
	drawStatus();
}
function startOver() {
	failures = Math.min(failures, 1);
	for (const source of Object.values(sources)) {
		source.locked = false;
		source.due = 0;
	}
	sources.history.whole = true;
	round();
}
document.addEventListener('visibilitychange', () => document.hidden ? clearTimeout(timer) : startOver());
addEventListener('online', startOver);
$('again').addEventListener('click', startOver);

// Status

const shapes = {
	healthy: ['#147a46', '<circle cx="8" cy="8" r="6"/>'],
	degraded: ['#c77700', '<path d="M8 1l7 14H1z"/>'],
	unhealthy: ['#c9302c', '<path d="M2 2h12v12H2z"/>'],
	silent: ['#c9302c', '<path d="M3 1l5 5 5-5 2 2-5 5 5 5-2 2-5-5-5 5-2-2 5-5-5-5z"/>'],
	unknown: ['#7a8691', '<circle cx="8" cy="8" r="6"/>'],
};
let told = '';

const nothing = (source, text) => source.locked ? 'Kept back.' : source.error ? 'Not known.' : text;
const isOpen = b => b.state !== 'closed' && b.state !== 'disabled';

function verdict(health) {
	const advice = list(sources.recommendations.data && sources.recommendations.data.recommendations);
	const title = list(health.recommendations)[0] || (advice[0] && advice[0].title) || '';
	const grave = advice.length ? advice[0].severity !== 'info' : health.status !== 'healthy' && !title.startsWith('All systems');
	if (health.status === 'starting') return 'The server lets nobody in: it is starting up or shutting down.';
	if (grave) return title;
	const open = list(health.breakers).filter(b => isOpen(b) && b.mode !== 'metrics_only');
	if (open.length) return open.slice(0, 3).map(b => b.breaker + ' is ' + words(b.state)).join(', ') + (open.length > 3 ? ', and more.' : '.');
	if (health.status !== 'healthy') return title;
	return advice.length && advice[0].rule !== 'all_clear' ? 'Nothing is wrong. To improve: ' + title : title;
}

const sentences = e => [e.error, e.hint].filter(Boolean).map(s => s[0].toUpperCase() + s.slice(1).replace(/\.?$/, '.')).join(' ');

function drawStatus() {
	const health = sources.health;
	const silent = failures > 0 || (asking !== null && Date.now() - asking > 3000);
	const since = answered === null ? opened : answered;
	let status = 'unknown', word = 'no answer yet', text = 'Asking the server for its figures.';

	if (silent) {
		status = 'silent';
		word = 'no answer';
		text = 'No answer since ' + clock(since + skew) + ' UTC' + (answered === null ? ', when this page was opened' : '') +
			' (' + age((Date.now() - since) / 1000) + ' ago).';
		put($('ago'), (health.data && !health.error ? 'Then it was ' + health.data.status + ': ' + verdict(health.data).replace(/\.$/, '') +
			'. The figures below are from then.' : 'Nothing is known of it.') +
			(asking !== null ? ' Trying now.' : ' Next try in ' + age((nextTry - Date.now() + 900) / 1000) + '.'));
	} else if (health.locked) {
		word = 'not allowed';
		text = sentences(health.error) || 'The server keeps its figures back.';
	} else if (health.error) {
		word = 'no figures';
		text = 'The server answers with ' + health.error.code + '. ' + sentences(health.error);
	} else if (health.data) {
		status = word = health.data.status || 'unknown';
		text = verdict(health.data);
	}
	$('status').dataset.status = status;
	$('silence').hidden = !silent && !health.locked;
	if (health.locked && !silent) put($('ago'), '');
	put($('word'), word);
	put($('verdict'), text);
	document.body.classList.toggle('stale', silent || !!health.error);
	$('figures').hidden = !health.data;

	// Told when something has changed, not when a figure in it has.
	const telling = word + ': ' + text;
	const plain = telling.replace(/\d[\d.,:]*/g, '#');
	if (plain !== told) {
		told = plain;
		put($('live'), telling);
		document.title = word + ' \u2013 pooldiag';
		const [colour, shape] = shapes[status] || shapes.unknown;
		$('icon').href = 'data:image/svg+xml,' + encodeURIComponent(
			'<svg xmlns="' + SVG + '" viewBox="0 0 16 16" fill="' + colour + '">' + shape + '</svg>');
	}

	const notes = [];
	const self = health.data && health.data.self || {};
	const locked = Object.values(sources).filter(s => s.locked);
	if (locked.length)
		notes.push((health.locked ? '' : 'Pools, history, recommendations and alerts need more rights. ') +
			'Load this page again and give the token of pooldiag.http_token_file as the password, with any user name; or set pooldiag.http_access = \'all\', where everybody who can connect may see everything.');
	if (!silent && self.sampler_silent)
		notes.push('The sampler has been silent for ' + age(self.last_sample_age_seconds) + '. What it counts is from then.');
	for (const [name, source] of Object.entries(sources))
		if (source !== health && source.error && !source.locked)
			notes.push('No ' + name + ': the server answers with ' + source.error.code + '. ' + sentences(source.error));
	put($('notice'), notes.join('\n'));
	$('notice').hidden = !notes.length;
	drawClock();
}
function drawClock() {
	const self = sources.health.data && sources.health.data.self;
	if (!answered) return;
	put($('clock'), clock(answered + skew) + ' UTC' + (self && known(self.last_sample_age_seconds)
		? ', sampled ' + fixed(self.last_sample_age_seconds, 1) + ' s before' : ''));
}
setInterval(() => {
	if (!document.hidden && (failures || asking)) drawStatus();
}, 500);

function drawHealth() {
	const health = sources.health.data;
	if (!health || sources.health.error) return drawStatus();
	const server = health.server || {};
	const metrics = health.metrics || {};
	put($('server'), 'PostgreSQL ' + String(server.version || '').split(' ')[0] +
		(server.role ? ', ' + server.role : '') + (known(server.uptime_seconds) ? ', up ' + age(server.uptime_seconds) : ''));
	drawTiles(health, metrics);
	drawBreakers(list(health.breakers));
	drawLatency(metrics.latency || {});
	drawWaits(list(metrics.waits));
	drawRefusals(metrics.refused);
	if (!sources.pools.data) drawPools();
	if (sources.recommendations.locked) drawAdvice();
	// Who may not see the history may still see these ten minutes of it.
	if (sources.history.locked) {
		view = windows[0];
		step = 60;
		points = list(metrics.history).map(p => ({...p, t: Date.parse(p.at)})).filter(p => p.t).sort((a, b) => a.t - b.t);
		drawCharts();
	}
	drawStatus();
}

function drawTiles(health, metrics) {
	const slots = {...health.connection_pool, ...metrics.connection_pool};
	const states = slots.states || {};
	const operations = health.async_operations || {};
	const refused = metrics.refused && metrics.refused.total;
	const lately = sum(points.filter(p => p.t > now() - 60000), p => p.refused);
	const held = known(states['idle in transaction']) ? states['idle in transaction'] + (states['idle in transaction (aborted)'] || 0) : null;
	const full = slots.utilization_percent;
	const tiles = [
		['Connections', num(slots.checked_out), ' of ' + num(slots.size) + ', ' + percent(full), full >= 95 ? 'critical' : full >= 80 ? 'warning' : ''],
		['Active', num(known(states.active) ? states.active + (states['fastpath function call'] || 0) : null)],
		['Idle in transaction', num(held)],
		['Idle', num(states.idle)],
		['Waiting for locks', num(slots.waiting_for_locks)],
		['Leak suspects', num(slots.leak_suspects), '', slots.leak_suspects > 0 ? 'warning' : ''],
		['Slow statements', num(slots.slow_statements), '', slots.slow_statements > 0 ? 'warning' : ''],
		['Most so far', num(slots.peak_connections)],
		['Refused', num(refused), lately ? ' +' + num(lately) + '/min' : '', lately ? 'critical' : ''],
		['Canary', health.database_connected ? 'works' : health.status === 'starting' ? NONE : 'fails', operations.failure_count ? ' ' + num(operations.failure_count) + ' in a row' : '', health.database_connected || health.status === 'starting' ? '' : 'critical'],
	];
	sync($('now'), tiles, t => t[0],
		t => el('div', {}, el('dt', {}, t[0]), el('dd', {}, el('span'), el('small'))),
		(div, t) => {
			const [figure, remark] = div.lastChild.children;
			mark(div, t[3] || '');
			put(figure, t[1]);
			put(remark, t[2] || '');
		});
}

// Breakers, latency, waits, refusals, alerts

const inPercent = name => name === 'slots' || name === 'errors' || name.startsWith('pool:');
const asLimit = (b, v) => !known(v) ? NONE : inPercent(b.breaker) ? percent(v) : num(v);

function drawBreakers(rows) {
	const open = rows.filter(isOpen).length;
	put($('breakers-count'), rows.length ? (open ? open + ' of ' + rows.length + ' not closed' : 'all ' + rows.length + ' closed') : '');
	table($('breakers'), 'breakers', 'Circuit breakers', [
		['Breaker', 'grow', b => b.breaker],
		['State', '', (b, cell) => tag(cell, b.state, words(b.state) + (b.mode === 'metrics_only' ? ', metrics only' : ''))],
		['Value', 'n', b => asLimit(b, b.value)],
		['Limit', 'n', b => asLimit(b, b.limit_value)],
		['Failing', 'n', b => num(b.consecutive_failures) + ' / ' + num(b.failure_threshold)],
		['Trips', 'n', b => num(b.trips)],
	], rows, b => b.breaker, 'None yet: no sample was taken.');
}
function drawLatency(latency) {
	const names = {statement: 'Statement', transaction: 'Hold (transaction)', connect: 'Connect', lifetime: 'Session lifetime'};
	const rows = Object.keys(names).filter(k => latency[k]).map(k => ({name: names[k], ...latency[k]}));
	table($('latency'), 'latency', 'Latency and hold', [
		['', '', r => r.name],
		['Count', 'n', r => num(r.count)],
		['p50', 'n', r => ms(r.p50_ms)],
		['p95', 'n', r => ms(r.p95_ms)],
		['p99', 'n', r => ms(r.p99_ms)],
	], rows, r => r.name, 'Nothing was measured yet.');
}
function drawWaits(rows) {
	table($('waits'), 'waits', 'What active connections wait for', [
		['Wait event', 'grow', w => w.wait_event === w.wait_event_type ? (w.wait_event === 'CPU' ? 'on CPU' : w.wait_event) : w.wait_event_type + ': ' + w.wait_event],
		['Share', '', (w, cell) => bar(cell, 'share', percent(w.share_percent), [['of-active', 0, w.share_percent]])],
		['Samples', 'n', w => num(w.samples)],
	], rows, w => w.wait_event_type + ':' + w.wait_event, 'No active connection was sampled yet.');
}
function drawRefusals(refused) {
	const reasons = Object.entries(refused && refused.by_reason || {}).filter(r => r[1] > 0).sort((a, b) => b[1] - a[1]);
	put($('refusals-count'), refused ? num(refused.total) + ' since counters began' : '');
	table($('refusals'), 'refusals', 'Refused connections by reason', [
		['Reason', 'grow', r => r[0]],
		['Share', '', (r, cell) => bar(cell, 'share', percent(100 * r[1] / refused.total), [['of-bad', 0, 100 * r[1] / refused.total]])],
		['Refused', 'n', r => num(r[1])],
	], reasons, r => r[0], 'Nobody was turned away.');
}
let older = false;
$('older').addEventListener('click', () => {
	older = !older;
	drawAlerts();
});
function drawAlerts() {
	const rows = list(sources.alerts.data && sources.alerts.data.alerts);
	const button = $('older');
	put($('alerts-count'), rows.length >= 16 ? 'the newest 16' : '');
	button.hidden = rows.length <= 8;
	button.setAttribute('aria-pressed', older);
	put(button, older ? 'Show 8' : 'Show ' + rows.length);
	table($('alerts'), 'alerts', 'Alerts, newest first', [
		['Time', 'n', a => moment(a.at, now())],
		['Severity', '', (a, cell) => tag(cell, a.severity, a.severity)],
		['Ago', 'n none', a => age((now() - Date.parse(a.at)) / 1000)],
		['What happened', 'grow', a => a.message],
	], older ? rows : rows.slice(0, 8), a => String(a.id), nothing(sources.alerts, 'None.'));
	drawStatus();
}

// Pools

let all = false;
$('more').addEventListener('click', () => {
	all = !all;
	drawPools();
});

function drawPools() {
	const given = sources.pools.data || sources.health.data || {};
	const rows = list(given.pools).slice().sort((a, b) =>
		(b.declared - a.declared) || (a.declared ? 0 : b.connections - a.connections));
	const asleep = rows.filter(p => !p.declared && !p.connections).length;
	put($('pools-count'), rows.length ? rows.filter(p => p.declared).length + ' declared, ' + rows.filter(p => !p.declared).length + ' discovered' : '');
	$('more').hidden = !asleep;
	$('more').setAttribute('aria-pressed', all);
	put($('more'), (all ? 'Hide ' : 'Show ') + asleep + ' without connections');
	table($('pools'), 'pools', 'Pools', [
		['Pool', '', p => known(p.pool) ? p.pool : p.declared ? 'a declared pool' : 'another pool'],
		['Connections of capacity', '', (p, cell) => {
			const share = v => 100 * v / p.capacity;
			// Without a capacity there is nothing to measure against, and no bar.
			bar(cell, 'conns', num(p.connections) + (known(p.capacity) ? ' / ' + num(p.capacity) : ''), known(p.capacity) ? [
				['of-idle', 0, share(p.connections)],
				['of-active', 0, share(p.checked_out)],
				['size', share(p.size * p.instances), p.max_overflow > 0 ? 101 : 0],
			] : [['', 0, 0], ['', 0, 0], ['', 0, 0]]);
			mark(cell.firstElementChild.lastChild, p.saturation_percent >= 100 ? 'bar full' : 'bar');
			cell.firstElementChild.lastChild.hidden = !known(p.capacity);
		}],
		['Size', 'n', p => known(p.size) ? (p.instances > 1 ? p.instances + ' \u00d7 ' : '') + p.size + ' + ' + p.max_overflow : NONE],
		['Out', 'n', p => num(p.checked_out)],
		['Overflow', 'n', p => num(p.overflow)],
		['Utilization', 'n', (p, cell) => {
			mark(cell, 'n' + (p.utilization_percent >= 100 ? ' is-warning' : ''));
			return percent(p.utilization_percent);
		}],
		['Saturation', 'n', (p, cell) => {
			mark(cell, 'n' + (p.saturation_percent >= 100 ? ' is-critical' : ''));
			return percent(p.saturation_percent);
		}],
		['Leaks', 'n', (p, cell) => {
			mark(cell, 'n' + (p.leaks > 0 ? ' is-warning' : ''));
			return num(p.leaks);
		}],
		['Xacts/s', 'n', p => rate(p.xact_rate)],
		['Hold p50', 'n', p => ms(p.hold_p50_ms)],
		['Hold p95', 'n', p => ms(p.hold_p95_ms)],
		['Hold p99', 'n', p => ms(p.hold_p99_ms)],
		['Stmt p95', 'n', p => ms(p.statement_p95_ms)],
		['Breaker', '', (p, cell) => p.breaker_state ? tag(cell, p.breaker_state, words(p.breaker_state)) : NONE],
	], all ? rows : rows.filter(p => p.declared || p.connections), p => String(p.pool), nothing(sources.pools, 'None yet.'));
	drawStatus();
}

// Recommendations

function copy(pre, button) {
	const done = fine => {
		put(button, fine ? 'Copied' : 'Selected');
		setTimeout(() => put(button, 'Copy'), 2000);
	};
	// Without TLS there is no clipboard for scripts, but there is a selection.
	const select = () => {
		getSelection().selectAllChildren(pre);
		let fine = false;
		try {
			fine = document.execCommand('copy');
		} catch (error) { /* the person copies what is selected */ }
		done(fine);
	};
	if (navigator.clipboard) navigator.clipboard.writeText(pre.textContent).then(() => done(true), select);
	else select();
}
// A key of the evidence, with its unit taken off, and the value with it put on.
function figure(key, value) {
	const unit = /_(seconds|percent|ms)$/.exec(key);
	const name = words(unit ? key.slice(0, unit.index) : key);
	if (typeof value === 'number')
		return [name, unit ? num(value) + ({seconds: ' s', percent: ' %', ms: ' ms'})[unit[1]] : num(value)];
	return [words(key), value === null ? NONE : typeof value === 'object' ? JSON.stringify(value) : String(value)];
}
const oneLine = o => o !== null && typeof o === 'object'
	? Object.entries(o).map(([k, v]) => figure(k, k === 'pid' ? String(v) : v).join(' ')).join(', ') : String(o);
const evidenceRows = evidence => Object.entries(evidence || {})
	.filter(([k, v]) => !(k.endsWith('_not_listed') && !v))
	.map(([k, v]) => Array.isArray(v) ? [words(k), v.map(oneLine).join(typeof v[0] === 'object' ? '\n' : ', ')] : figure(k, v));

let first = true;

function drawAdvice() {
	const rows = list(sources.recommendations.data && sources.recommendations.data.recommendations);
	const count = s => rows.filter(r => r.severity === s && r.rule !== 'all_clear').length;
	put($('advice-count'), ['critical', 'warning', 'info'].filter(count).map(s => count(s) + ' ' + s).join(', '));
	const host = $('advice');
	// Who may not see them may still see what they are called.
	if (!host.reason) host.append(host.reason = el('p', {className: 'lines'}));
	put(host.reason, rows.length ? '' : list(sources.health.data && sources.health.data.recommendations).join('\n') || nothing(sources.recommendations, 'Nothing.'));
	host.reason.hidden = rows.length > 0;
	sync(host, rows, r => r.rule + ' ' + r.subject, r => {
		const pre = el('pre', {tabIndex: 0});
		const button = el('button', {type: 'button', 'aria-label': 'Copy the remedy of ' + r.rule + ' for ' + r.subject}, 'Copy');
		button.addEventListener('click', () => copy(pre, button));
		return el('details', {className: 'item', open: first && r.severity !== 'info' && innerWidth > 620},
			el('summary', {}, el('span'), el('span', {className: 'title'})),
			el('div', {className: 'body'}, el('p'), el('div', {className: 'remedy'},
				el('p', {}, 'Remedy: read it first', button), pre),
				el('details', {}, el('summary', {}, 'Evidence'), el('dl'))));
	}, (item, r) => {
		const [head, body] = item.children;
		const [advice, remedy, proof] = body.children;
		const evidence = proof.lastChild;
		const kind = r.rule === 'all_clear' ? 'clear' : r.severity;
		mark(head.firstChild, 'tag ' + kind);
		put(head.firstChild, kind);
		put(head.lastChild, r.title);
		put(advice, r.advice || '');
		remedy.hidden = !r.remedy;
		// A selection in it is worth more than its newest figures.
		if (r.remedy && !getSelection().containsNode(remedy.lastChild, true)) put(remedy.lastChild, r.remedy);
		const about = [['rule', r.rule + ', ' + r.subject], ...evidenceRows(r.evidence)];
		if (r.first_seen) about.push(['since', moment(r.first_seen, now()) + ' (' + age((now() - Date.parse(r.first_seen)) / 1000) + ')']);
		sync(evidence, about.flatMap(([k, v]) => [['dt', k, k], ['dd', k, v]]), e => e[0] + e[1], e => el(e[0]), (node, e) => put(node, e[2]));
		first = false;
	});
	drawStatus();
}

// History: rows by their beginning, the last ones asked for again and again, the whole of it now and then.

const windows = [['10 min', 600, 2], ['1 h', 3600, 10], ['6 h', 21600, 60], ['24 h', 86400, 300], ['7 d', 604800, 1800]];
let view = windows[0];
let step = 2;
let points = [];
let cursor = null;

windows.forEach((w, i) => {
	const input = el('input', {type: 'radio', name: 'window', checked: !i});
	input.addEventListener('change', () => {
		view = w;
		cursor = null;
		sources.history.whole = true;
		sources.history.due = 0;
		if (!asking) round();
	});
	$('window').append(el('label', {}, input, el('span', {}, w[0])));
});

function aimHistory() {
	const source = sources.history;
	const last = points.length ? points[points.length - 1].t : 0;
	const missing = Math.ceil((now() - last) / 1000) + 2 * step + 2;
	const whole = source.whole || !last || missing > view[1] || Date.now() - source.wholeAt > 120000;
	source.asked = {view, whole};
	source.every = Math.min(Math.max(2000, view[2] * 500), 30000);
	source.url = '/api/v1/history?since=' + (whole ? view[1] : missing) + '&step=' + view[2];
}
function drawHistory() {
	const source = sources.history;
	if (source.error && !source.locked) points = [];
	if (source.data && source.asked.view === view) {
		const rows = list(source.data.history).map(r => ({...r, t: Date.parse(r.at)})).filter(r => r.t);
		if (known(source.data.step_seconds) && source.data.step_seconds > 0) step = source.data.step_seconds;
		else step = view[2];
		if (source.asked.whole) {
			points = rows;
			source.whole = false;
			source.wholeAt = Date.now();
		} else if (rows.length) {
			points = points.filter(p => p.t < rows[0].t).concat(rows);
		}
		const end = points.length ? points[points.length - 1].t : 0;
		points = points.filter(p => p.t > end - view[1] * 1000);
	}
	$('window').hidden = source.locked;
	drawCharts();
	drawStatus();
}

const layers = [
	['active', 'active', p => p.active],
	['held', 'idle in transaction', p => p.idle_in_transaction],
	['idle', 'idle', p => known(p.idle) ? p.idle : p.connections - p.active - p.idle_in_transaction],
	['other', 'other', p => known(p.idle) ? Math.max(0, p.connections - p.active - p.idle - p.idle_in_transaction) : 0],
];
const strips = [
	['Transactions a second', 'xact_rate', rate],
	['Hold p95, log scale', 'hold_p95_ms', ms],
	['Statement p95, log scale', 'statement_p95_ms', ms],
	['Waiting for locks', 'waiting', num],
];

function hatch(id) {
	const pattern = svg('pattern', {id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)'});
	pattern.append(svg('rect', {width: 6, height: 6, class: 'hatch-ground'}), svg('path', {d: 'M1 0V6', class: 'hatch-line'}));
	const defs = svg('defs', {});
	defs.append(pattern);
	return defs;
}
function swatch(name) {
	const picture = svg('svg', {viewBox: '0 0 14 10', 'aria-hidden': 'true'});
	picture.append(name === 'limit' ? svg('path', {d: 'M0 5H14', class: 'limit'})
		: name === 'refused' ? svg('path', {d: 'M3 1h8l-4 8z', class: name})
			: svg('rect', {width: 14, height: 10, rx: 1, class: name}));
	return picture;
}
function niceStep(max, count) {
	const raw = Math.max(max / count, 1);
	const power = 10 ** Math.floor(Math.log10(raw));
	return power * [1, 2, 5, 10].find(f => f * power >= raw);
}
// The runs of points without a gap.
function runs(value) {
	const found = [];
	let run = null;
	for (const p of points)
		if (known(value(p))) {
			if (!run || p.t - run[run.length - 1].t > step * 1500) found.push(run = []);
			run.push(p);
		} else {
			run = null;
		}
	return found;
}
let scale = null;

function drawCharts() {
	const picture = $('plot');
	const width = picture.clientWidth, height = picture.clientHeight;
	const pool = sources.health.data && sources.health.data.connection_pool || {};
	const usable = pool.size;
	if (!width) return;
	const end = points.length ? points[points.length - 1].t + step * 1000 : now();
	const begin = end - view[1] * 1000;
	const left = 30, top = 16, bottom = height - 20;
	const most = points.reduce((m, p) => (p.max_connections_seen || p.connections || 0) > (m ? m.max_connections_seen || m.connections : 0) ? p : m, null);
	const highest = most ? most.max_connections_seen || most.connections : 0;
	const limitShown = known(usable) && (highest >= usable / 5 || !highest);
	const ceiling = limitShown ? Math.max(usable, highest) * 1.08 : Math.max(4, highest * 1.3);
	const X = t => left + (width - left) * (t - begin) / (end - begin);
	const Y = v => bottom - (bottom - top) * v / ceiling;
	const at = v => v.toFixed(1);
	scale = {begin, end, left, width, X};

	const parts = [hatch('hatch')];
	const grid = niceStep(ceiling, height < 200 ? 4 : 6);
	for (let v = 0; v < ceiling; v += grid) {
		parts.push(svg('path', {d: 'M' + left + ' ' + at(Y(v)) + 'H' + width, class: 'grid'}));
		parts.push(svg('text', {x: left - 6, y: at(Y(v) + 4), 'text-anchor': 'end', class: 'tick'}, num(v)));
	}
	const every = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800].find(s => view[1] / s <= (width - left) / 60) || 172800;
	for (let t = Math.ceil(begin / 1000 / every) * every * 1000; t <= end; t += every * 1000) {
		const x = X(t);
		if (x < left + 14 || x > width - 16) continue;
		parts.push(svg('path', {d: 'M' + at(x) + ' ' + bottom + 'v4', class: 'grid'}));
		parts.push(svg('text', {x: at(x), y: height - 4, 'text-anchor': 'middle', class: 'tick'}, every < 43200 ? clock(t).slice(0, 5) : iso(t).slice(5, 10)));
	}
	// Each row is a step as wide as its time.
	const groups = runs(p => p.connections);
	const sides = (run, value) => run.map((p, i) => {
		const until = Math.min(i + 1 < run.length ? run[i + 1].t : p.t + step * 1000, end);
		return [at(X(Math.max(p.t, begin))), at(X(until)), at(Y(value(p)))];
	});
	const under = groups.map(run => run.map(() => 0));
	for (const [name, , value] of layers) {
		let d = '';
		groups.forEach((run, g) => {
			const low = under[g].slice();
			run.forEach((p, i) => { under[g][i] += value(p) || 0; });
			const upper = sides(run, p => under[g][run.indexOf(p)]);
			const lower = sides(run, p => low[run.indexOf(p)]).reverse();
			d += 'M' + upper.map(s => s[0] + ' ' + s[2] + 'H' + s[1]).join('L') +
				'L' + lower.map(s => s[1] + ' ' + s[2] + 'H' + s[0]).join('L') + 'Z';
		});
		parts.push(svg('path', {d, class: name}));
	}
	parts.push(svg('path', {class: 'top', d: groups.map(run =>
		'M' + sides(run, p => Math.max(p.max_connections_seen || 0, p.connections)).map(s => s[0] + ' ' + s[2] + 'H' + s[1]).join('L')).join('')}));
	if (known(usable)) {
		const y = limitShown ? at(Y(usable)) : top;
		if (limitShown) parts.push(svg('path', {d: 'M' + left + ' ' + y + 'H' + width, class: 'limit'}));
		parts.push(svg('text', {x: width - 2, y: limitShown ? y - 5 : top - 4, 'text-anchor': 'end', class: 'tick strong'},
			num(usable) + ' usable slots' + (limitShown ? '' : ', above this picture')));
	}
	const pinned = new Map();
	for (const p of points)
		if (p.refused > 0) pinned.set(Math.round(X(p.t + step * 500) / 9) * 9, true);
	for (const x of pinned.keys()) parts.push(svg('path', {d: 'M' + (x - 4) + ' 1h8l-4 8z', class: 'refused'}));
	parts.push(svg('path', {class: 'hair', d: ''}));
	picture.setAttribute('viewBox', '0 0 ' + width + ' ' + height);
	picture.replaceChildren(...parts);

	const host = $('strips');
	if (!host.children.length)
		for (const [name] of strips)
			host.append(el('div', {className: 'strip'}, el('p', {}, el('span', {}, name), el('span', {}, el('b'), el('span'))), svg('svg', {'aria-hidden': 'true'})));
	strips.forEach(([, key, format], i) => {
		const canvas = host.children[i].lastChild;
		const w = canvas.clientWidth, h = 38;
		const max = Math.max(0, ...points.map(p => p[key] || 0));
		// One statement of a minute would make a flat line of all that takes milliseconds.
		const high = v => format === ms ? Math.log1p(v / 0.05) : v;
		const d = runs(p => p[key]).map(run => 'M' + run.map(p => at(w * (Math.max(p.t, begin) + step * 500 - begin) / (end - begin)) + ' ' + at(h - 2 - (h - 5) * (max ? high(p[key]) / high(max) : 0))).join('L') + (run.length === 1 ? 'h1' : '')).join('');
		canvas.setAttribute('viewBox', '0 0 ' + w + ' ' + h);
		canvas.replaceChildren(svg('path', {d: 'M0 ' + (h - 1.5) + 'H' + w, class: 'grid'}), svg('path', {d, class: 'line'}), svg('path', {class: 'hair', d: ''}));
		put(host.children[i].firstChild.lastChild.lastChild, ', max ' + format(points.length ? max : null));
	});

	const refused = sum(points, p => p.refused);
	const somewhere = points.filter(p => known(p.connections));
	put($('slots-summary'), !somewhere.length ? 'No history yet.' :
		'Last ' + view[0] + ': on average ' + num(Math.round(sum(somewhere, p => p.connections) / somewhere.length * 10) / 10) + ' connections' +
		(known(usable) ? ' of ' + num(usable) + ' usable slots' : '') + ', at most ' + num(highest) + ', at ' + moment(most ? most.t : null, now()) + '; ' +
		(refused ? num(refused) + ' refused' : 'nobody refused') + '.');
	if ($('series').open) drawSeries();
	drawCursor();
}

// Figures of the moment under the cursor, else of the last one.
function drawCursor() {
	if (!scale) return;
	const index = cursor === null ? points.length - 1 : points.findIndex(p => p.t + step * 1000 > cursor);
	const p = points[index];
	const usable = sources.health.data && sources.health.data.connection_pool && sources.health.data.connection_pool.size;
	const entries = layers.map(([name, label, value]) => [name, label, p && known(p.connections) ? num(Math.round(value(p) * 10) / 10) : NONE]);
	entries.push(['limit', 'usable slots', num(usable)], ['refused', 'refused', p ? num(p.refused) : NONE]);
	sync($('legend'), entries, e => e[0], e => el('li', {}, swatch(e[0]), el('span', {}, e[1]), el('b')), (li, e) => put(li.lastChild, e[2]));
	if (!$('moment')) $('legend').append(el('li', {id: 'moment'}));
	put($('moment'), p ? 'at ' + moment(p.t, now()) : '');

	const slider = $('cursor');
	slider.setAttribute('aria-valuemax', Math.max(0, points.length - 1));
	slider.setAttribute('aria-valuenow', Math.max(0, index));
	slider.setAttribute('aria-valuetext', p ? clock(p.t) + ' UTC: ' + entries.filter(e => e[0] !== 'limit').map(e => e[1] + ' ' + e[2]).join(', ') : 'no history yet');
	const share = p && cursor !== null ? (p.t + step * 500 - scale.begin) / (scale.end - scale.begin) : null;
	for (const hair of slider.querySelectorAll('.hair')) {
		const wide = hair.ownerSVGElement.clientWidth, from = hair.ownerSVGElement === $('plot') ? scale.left : 0;
		hair.setAttribute('d', share === null || share < 0 ? '' : 'M' + (from + (wide - from) * share).toFixed(1) + ' ' + (from ? 16 : 0) + 'V' + (hair.ownerSVGElement.clientHeight - (from ? 20 : 0)));
	}
	strips.forEach(([, key, format], i) => {
		const strip = $('strips').children[i];
		if (strip) put(strip.firstChild.lastChild.firstChild, p ? format(known(p[key]) ? Math.round(p[key] * 100) / 100 : null) : NONE);
	});
}

$('cursor').addEventListener('pointermove', event => {
	if (!scale || !points.length) return;
	const under = event.target.closest('svg') || $('plot');
	const box = under.getBoundingClientRect(), from = under === $('plot') ? scale.left : 0;
	const share = (event.clientX - box.left - from) / (box.width - from);
	cursor = scale.begin + Math.max(0, Math.min(0.9999, share)) * (scale.end - scale.begin);
	drawCursor();
});
const release = () => {
	cursor = null;
	drawCursor();
};
$('cursor').addEventListener('pointerleave', release);
$('cursor').addEventListener('blur', release);
$('cursor').addEventListener('keydown', event => {
	const last = points.length - 1;
	const index = cursor === null ? last : points.findIndex(p => p.t + step * 1000 > cursor);
	const to = {ArrowLeft: index - 1, ArrowDown: index - 1, ArrowRight: index + 1, ArrowUp: index + 1, PageUp: index + 20, PageDown: index - 20, Home: 0, End: last}[event.key];
	if (event.key === 'Escape') return release();
	if (to === undefined || last < 0) return;
	event.preventDefault();
	cursor = points[Math.max(0, Math.min(last, to))].t;
	drawCursor();
});
new ResizeObserver(drawCharts).observe($('plot'));

// The same as a table of at most a dozen rows.
function drawSeries() {
	const part = Math.max(step, view[1] / 12) * 1000;
	const rows = [];
	for (const p of points) {
		const t = Math.floor(p.t / part) * part;
		if (!rows.length || rows[rows.length - 1].t !== t) rows.push({t, of: []});
		rows[rows.length - 1].of.push(p);
	}
	const mean = (r, f) => {
		const values = r.of.map(f).filter(known);
		return values.length ? num(Math.round(values.reduce((a, b) => a + b, 0) / values.length * 10) / 10) : NONE;
	};
	const max = (r, f) => {
		const values = r.of.map(f).filter(known);
		return values.length ? Math.max(...values) : null;
	};
	table($('series-table'), 'series', 'Means and highest values of the time shown', [
		['From', '', r => moment(r.t, now())],
		['Connections', 'n', r => mean(r, p => p.connections)],
		['Most', 'n', r => num(max(r, p => p.max_connections_seen))],
		...layers.map(([, label, value]) => [label[0].toUpperCase() + label.slice(1), 'n', r => mean(r, p => known(p.connections) ? value(p) : null)]),
		['Waiting', 'n', r => mean(r, p => p.waiting)],
		['Refused', 'n', r => num(sum(r.of, p => p.refused))],
		['Xacts/s', 'n', r => mean(r, p => p.xact_rate)],
		['Hold p95, highest', 'n', r => ms(max(r, p => p.hold_p95_ms))],
		['Statement p95, highest', 'n', r => ms(max(r, p => p.statement_p95_ms))],
	], rows.reverse(), r => String(r.t), 'No history yet.');
}
$('series').addEventListener('toggle', () => $('series').open && drawSeries());

// Light, dark, or as the system has it; kept for as long as the page is open.

const themes = {auto: 'light dark', light: 'light', dark: 'dark'};
$('theme').addEventListener('click', () => {
	const names = Object.keys(themes);
	const next = names[(names.indexOf($('theme').textContent.split(' ')[1]) + 1) % names.length];
	document.documentElement.style.colorScheme = themes[next];
	put($('theme'), 'Theme: ' + next);
});

drawStatus();
round();
})();
