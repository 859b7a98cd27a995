// tsdav's CalDAV functions against the server of the first argument; a line of JSON for each test.

import assert from 'node:assert/strict';
import tsdav, {
  DAVClient, DAVNamespaceShort, calendarMultiGet, calendarQuery, collectionQuery, createAccount, createCalendarObject,
  createDAVClient, createObject, davRequest, deleteCalendarObject, deleteObject, fetchCalendarObjects, fetchCalendarUserAddresses,
  fetchCalendars, fetchHomeUrl, fetchPrincipalUrl, freeBusyQuery, getBasicAuthHeaders, isCollectionDirty, makeCalendar,
  propfind, serviceDiscovery, smartCollectionSync, smartCollectionSyncDetailed, supportedReportSet, syncCalendars,
  syncCalendarsDetailed, syncCollection, updateCalendarObject, updateObject,
} from 'tsdav';

const [serverUrl, username, password] = process.argv.slice(2);
const credentials = { username, password };
const headers = getBasicAuthHeaders(credentials);
const home = new URL(`/dav/${username}/`, serverUrl).href;

async function test(name, body) {
  let good = true;
  let detail = '';
  try {
    await body();
  } catch (why) {
    good = false;
    detail = String(why?.message ?? why).replace(/\s+/g, ' ').slice(0, 400);
  }
  console.log(JSON.stringify({ test: name, good, detail }));
}

function event(uid, start, more = '') {
  return [
    'BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:-//calgate//tsdav//EN', 'BEGIN:VEVENT', `UID:${uid}`,
    'DTSTAMP:20260101T000000Z', `DTSTART:${start}`, 'DURATION:PT1H', `SUMMARY:${uid}`, ...(more ? [more] : []),
    'END:VEVENT', 'END:VCALENDAR', '',
  ].join('\r\n');
}

const account = { serverUrl, accountType: 'caldav', credentials };
const july = { start: '2026-07-01T00:00:00Z', end: '2026-08-01T00:00:00Z' };

await test('serviceDiscovery', async () => {
  account.rootUrl = await serviceDiscovery({ account, headers });
  assert.equal(new URL(account.rootUrl).host, new URL(serverUrl).host);
});
await test('fetchPrincipalUrl', async () => {
  account.principalUrl = await fetchPrincipalUrl({ account, headers });
  assert.equal(account.principalUrl, new URL(`/dav/principals/${username}/`, serverUrl).href);
});
await test('fetchHomeUrl', async () => {
  account.homeUrl = await fetchHomeUrl({ account, headers });
  assert.equal(account.homeUrl, home);
});
await test('fetchCalendarUserAddresses', async () => {
  const addresses = await fetchCalendarUserAddresses({ account, headers });
  assert.ok(addresses.includes(`mailto:${username}@example.com`), addresses.join());
});
await test('createAccount with collections and objects', async () => {
  const made = await createAccount({ account: { serverUrl, accountType: 'caldav', credentials }, headers, loadCollections: true, loadObjects: true });
  assert.equal(made.homeUrl, home);
  assert.ok(made.calendars.some((c) => c.url === `${home}main/`), JSON.stringify(made.calendars.map((c) => c.url)));
});
await test('createAccount with a wrong password', async () => {
  const wrong = { username, password: 'wrong' };
  await assert.rejects(createAccount({ account: { serverUrl, accountType: 'caldav', credentials: wrong }, headers: getBasicAuthHeaders(wrong) }));
});

let calendar;
await test('makeCalendar', async () => {
  const [answer] = await makeCalendar({
    url: `${home}made/`, headers,
    props: {
      [`${DAVNamespaceShort.DAV}:displayname`]: 'Made & <kept>',
      [`${DAVNamespaceShort.CALDAV}:calendar-description`]: 'by tsdav',
    },
  });
  assert.equal(answer.status, 201, JSON.stringify(answer));
});
await test('fetchCalendars', async () => {
  const calendars = await fetchCalendars({ account, headers });
  calendar = calendars.find((c) => c.url === `${home}made/`);
  assert.ok(calendar, JSON.stringify(calendars.map((c) => c.url)));
  assert.equal(calendar.displayName, 'Made & <kept>');
  assert.equal(calendar.description, 'by tsdav');
  assert.ok(calendar.components.includes('VEVENT'), JSON.stringify(calendar.components));
  assert.ok(calendar.ctag && calendar.syncToken, JSON.stringify(calendar));
  assert.ok(calendar.reports.includes('syncCollection'), JSON.stringify(calendar.reports));
});
await test('supportedReportSet', async () => {
  const reports = await supportedReportSet({ collection: calendar, headers });
  for (const report of ['calendarQuery', 'calendarMultiget', 'freeBusyQuery', 'syncCollection']) {
    assert.ok(reports.includes(report), `${report} is not in ${reports}`);
  }
});

await test('isCollectionDirty when nothing has changed', async () => {
  const { isDirty } = await isCollectionDirty({ collection: calendar, headers });
  assert.equal(isDirty, false);
});
await test('createCalendarObject', async () => {
  const answer = await createCalendarObject({ calendar, filename: 'one.ics', iCalString: event('one', '20260706T100000Z'), headers });
  assert.equal(answer.status, 201);
  assert.ok(answer.headers.get('etag'));
  const more = await createCalendarObject({
    calendar, filename: 'weekly.ics', iCalString: event('weekly', '20260602T100000Z', 'RRULE:FREQ=WEEKLY'), headers,
  });
  assert.equal(more.status, 201);
});
await test('createCalendarObject where one is', async () => {
  const answer = await createCalendarObject({ calendar, filename: 'one.ics', iCalString: event('one', '20260707T100000Z'), headers });
  assert.equal(answer.status, 412);
});
await test('isCollectionDirty when something has changed', async () => {
  const { isDirty, newCtag } = await isCollectionDirty({ collection: calendar, headers });
  assert.equal(isDirty, true);
  assert.notEqual(newCtag, calendar.ctag);
});

let objects = [];
await test('fetchCalendarObjects', async () => {
  objects = await fetchCalendarObjects({ calendar, headers });
  assert.deepEqual(objects.map((o) => o.url).sort(), [`${home}made/one.ics`, `${home}made/weekly.ics`]);
  assert.equal(objects.find((o) => o.url.endsWith('one.ics')).data, event('one', '20260706T100000Z').trimEnd());
});
await test('fetchCalendarObjects without multiget', async () => {
  const found = await fetchCalendarObjects({ calendar, headers, useMultiGet: false });
  assert.equal(found.length, 2);
  assert.ok(found.every((o) => o.data.startsWith('BEGIN:VCALENDAR') && o.etag));
});
await test('fetchCalendarObjects by address', async () => {
  const found = await fetchCalendarObjects({ calendar, headers, objectUrls: [`${home}made/weekly.ics`] });
  assert.deepEqual(found.map((o) => o.url), [`${home}made/weekly.ics`]);
});
await test('fetchCalendarObjects in a time range', async () => {
  const found = await fetchCalendarObjects({ calendar, headers, timeRange: { start: '2026-07-06T09:00:00Z', end: '2026-07-06T12:00:00Z' } });
  assert.deepEqual(found.map((o) => o.url), [`${home}made/one.ics`]);
});
await test('fetchCalendarObjects expanded', async () => {
  const found = await fetchCalendarObjects({ calendar, headers, timeRange: july, expand: true });
  const weekly = found.find((o) => o.url.endsWith('weekly.ics')).data;
  assert.equal(weekly.match(/BEGIN:VEVENT/g).length, 4, weekly);
  assert.ok(!weekly.includes('RRULE') && weekly.includes('RECURRENCE-ID:20260707T100000Z'), weekly);
});
await test('calendarMultiGet', async () => {
  const answers = await calendarMultiGet({
    url: calendar.url, depth: '1', headers,
    objectUrls: ['/one.ics', '/weekly.ics'].map((name) => new URL(calendar.url).pathname.replace(/\/$/, name)),
    props: { [`${DAVNamespaceShort.DAV}:getetag`]: {}, [`${DAVNamespaceShort.CALDAV}:calendar-data`]: {} },
  });
  assert.deepEqual(answers.map((a) => a.href.split('/').pop()), ['one.ics', 'weekly.ics'], JSON.stringify(answers));
  assert.ok(answers.every((a) => a.props.calendarData && a.props.getetag), JSON.stringify(answers));
});
await test('calendarQuery', async () => {
  const answers = await calendarQuery({
    url: calendar.url, depth: '1', headers,
    props: { [`${DAVNamespaceShort.DAV}:getetag`]: {} },
    filters: { 'comp-filter': { _attributes: { name: 'VCALENDAR' }, 'comp-filter': { _attributes: { name: 'VEVENT' }, 'prop-filter': { _attributes: { name: 'SUMMARY' }, 'text-match': { _text: 'WEEK' } } } } },
  });
  assert.deepEqual(answers.map((a) => a.href), [new URL(`${home}made/weekly.ics`).pathname], JSON.stringify(answers));
});
await test('collectionQuery', async () => {
  const answers = await collectionQuery({
    url: calendar.url, depth: '1', headers, defaultNamespace: DAVNamespaceShort.CALDAV,
    body: { 'calendar-query': { _attributes: { 'xmlns:c': 'urn:ietf:params:xml:ns:caldav', 'xmlns:d': 'DAV:' }, 'd:prop': { 'd:getetag': {} }, filter: { 'comp-filter': { _attributes: { name: 'VCALENDAR' } } } } },
  });
  assert.equal(answers.length, 2, JSON.stringify(answers));
});
await test('freeBusyQuery', async () => {
  const answer = await freeBusyQuery({ url: calendar.url, timeRange: { start: '2026-07-06T00:00:00Z', end: '2026-07-08T00:00:00Z' }, headers });
  const text = JSON.stringify(answer);
  assert.ok(text.includes('BEGIN:VFREEBUSY') && text.includes('20260706T100000Z') && text.includes('20260707T100000Z'), text.slice(0, 300));
});

await test('updateCalendarObject', async () => {
  const one = objects.find((o) => o.url.endsWith('one.ics'));
  const answer = await updateCalendarObject({ calendarObject: { ...one, data: event('one', '20260708T100000Z') }, headers });
  assert.equal(answer.status, 204);
});
await test('updateCalendarObject with an old etag', async () => {
  const one = objects.find((o) => o.url.endsWith('one.ics'));
  const answer = await updateCalendarObject({ calendarObject: { ...one, data: event('one', '20260709T100000Z') }, headers });
  assert.equal(answer.status, 412);
});

// What a collection needs to be synced by itself.
const able = (collection) => ({
  ...collection,
  fetchObjects: ({ collection: of }) => fetchCalendarObjects({ calendar: of, headers }),
  objectMultiGet: calendarMultiGet,
});
for (const method of ['basic', 'webdav']) {
  await test(`smartCollectionSyncDetailed, ${method}`, async () => {
    const [before] = (await fetchCalendars({ account, headers })).filter((c) => c.url === calendar.url);
    before.objects = await fetchCalendarObjects({ calendar: before, headers });
    await createCalendarObject({ calendar, filename: `sync-${method}.ics`, iCalString: event(`sync-${method}`, '20260710T100000Z'), headers });
    const weekly = before.objects.find((o) => o.url.endsWith('weekly.ics'));
    await updateCalendarObject({ calendarObject: { ...weekly, data: event('weekly', '20260602T110000Z', `RRULE:FREQ=WEEKLY\r\nCOMMENT:${method}`) }, headers });
    const one = before.objects.find((o) => o.url.endsWith('one.ics'));
    await deleteCalendarObject({ calendarObject: one, headers });
    const after = await smartCollectionSyncDetailed({ collection: able(before), method, headers, account });
    assert.deepEqual(after.objects.created.map((o) => o.url), [`${home}made/sync-${method}.ics`]);
    assert.ok(after.objects.created[0].data?.includes(`UID:sync-${method}`), JSON.stringify(after.objects.created[0]));
    assert.deepEqual(after.objects.updated.map((o) => o.url), [`${home}made/weekly.ics`]);
    assert.deepEqual(after.objects.deleted.map((o) => o.url), [`${home}made/one.ics`]);
    await createCalendarObject({ calendar, filename: 'one.ics', iCalString: event('one', '20260706T100000Z'), headers });
  });
}
await test('smartCollectionSync', async () => {
  const [before] = (await fetchCalendars({ account, headers })).filter((c) => c.url === calendar.url);
  before.objects = await fetchCalendarObjects({ calendar: before, headers });
  const same = await smartCollectionSync({ collection: able(before), method: 'webdav', headers, account });
  assert.equal(same.objects.length, before.objects.length);
  await createCalendarObject({ calendar, filename: 'late.ics', iCalString: event('late', '20260711T100000Z'), headers });
  const after = await smartCollectionSync({ collection: able(before), method: 'webdav', headers, account });
  assert.equal(after.objects.length, before.objects.length + 1);
  assert.notEqual(after.syncToken, before.syncToken);
});
await test('syncCollection', async () => {
  const props = { [`${DAVNamespaceShort.DAV}:getetag`]: {}, [`${DAVNamespaceShort.CALDAV}:calendar-data`]: {} };
  const first = await syncCollection({ url: calendar.url, props, syncLevel: 1, syncToken: '', headers });
  const token = first[0].raw.multistatus.syncToken;
  assert.ok(token, JSON.stringify(first[0].raw).slice(0, 300));
  const second = await syncCollection({ url: calendar.url, props, syncLevel: 1, syncToken: token, headers });
  assert.ok(second.every((a) => !a.href), JSON.stringify(second).slice(0, 300));
});
await test('syncCollection with a token that is not ours', async () => {
  const [answer] = await syncCollection({ url: calendar.url, props: { [`${DAVNamespaceShort.DAV}:getetag`]: {} }, syncLevel: 1, syncToken: 'urn:nobody:1', headers });
  assert.equal(answer.status, 403, JSON.stringify(answer).slice(0, 300));
});
await test('syncCalendars', async () => {
  const calendars = await syncCalendars({ oldCalendars: [], account, headers });
  assert.ok(calendars.some((c) => c.url === calendar.url));
});
await test('syncCalendarsDetailed', async () => {
  const old = await fetchCalendars({ account, headers });
  for (const one of old) one.objects = await fetchCalendarObjects({ calendar: one, headers });
  await makeCalendar({ url: `${home}second/`, props: { [`${DAVNamespaceShort.DAV}:displayname`]: 'second' }, headers });
  await createCalendarObject({ calendar, filename: 'later.ics', iCalString: event('later', '20260712T100000Z'), headers });
  const { created, updated, deleted } = await syncCalendarsDetailed({ oldCalendars: old, account, headers });
  assert.deepEqual(created.map((c) => c.url), [`${home}second/`]);
  assert.deepEqual(updated.map((c) => c.url), [calendar.url]);
  assert.deepEqual(deleted, []);
});

await test('propfind', async () => {
  const answers = await propfind({ url: home, depth: '1', headers, props: { [`${DAVNamespaceShort.DAV}:resourcetype`]: {} } });
  const hrefs = answers.map((a) => a.href);
  for (const path of ['', 'made/', 'main/', 'second/']) {
    assert.ok(hrefs.includes(new URL(home + path).pathname), JSON.stringify(hrefs));
  }
});
await test('davRequest', async () => {
  const [answer] = await davRequest({
    url: calendar.url,
    init: {
      method: 'PROPPATCH', namespace: 'd', headers,
      body: { propertyupdate: { _attributes: { 'xmlns:d': 'DAV:' }, set: { prop: { displayname: 'Renamed' } } } },
    },
  });
  assert.ok(answer.ok, JSON.stringify(answer));
  const renamed = (await fetchCalendars({ account, headers })).find((c) => c.url === calendar.url);
  assert.equal(renamed.displayName, 'Renamed');
});
await test('createObject, updateObject, deleteObject', async () => {
  const url = `${home}second/object.ics`;
  const type = { ...headers, 'content-type': 'text/calendar; charset=utf-8' };
  const made = await createObject({ url, data: event('object', '20260713T100000Z'), headers: { ...type, 'If-None-Match': '*' } });
  assert.equal(made.status, 201);
  const changed = await updateObject({ url, data: event('object', '20260714T100000Z'), etag: made.headers.get('etag'), headers: type });
  assert.equal(changed.status, 204);
  const stale = await deleteObject({ url, etag: made.headers.get('etag'), headers });
  assert.equal(stale.status, 412);
  const gone = await deleteObject({ url, etag: changed.headers.get('etag'), headers });
  assert.equal(gone.status, 204);
});
await test('makeCollection', async () => {
  await tsdav.makeCollection({
    url: `${home}third/`, headers,
    props: {
      [`${DAVNamespaceShort.DAV}:resourcetype`]: { [`${DAVNamespaceShort.DAV}:collection`]: {}, [`${DAVNamespaceShort.CALDAV}:calendar`]: {} },
      [`${DAVNamespaceShort.DAV}:displayname`]: 'third',
    },
  });
  const third = (await fetchCalendars({ account, headers })).find((c) => c.url === `${home}third/`);
  assert.equal(third?.displayName, 'third');
});
await test('deleteCalendarObject', async () => {
  const [one] = await fetchCalendarObjects({ calendar, headers, objectUrls: [`${home}made/late.ics`] });
  assert.equal((await deleteCalendarObject({ calendarObject: one, headers })).status, 204);
  assert.equal((await deleteCalendarObject({ calendarObject: one, headers })).status, 412);
  assert.equal((await deleteObject({ url: one.url, headers })).status, 404);
});
await test('createDAVClient', async () => {
  const client = await createDAVClient({ serverUrl, credentials, authMethod: 'Basic', defaultAccountType: 'caldav' });
  const calendars = await client.fetchCalendars();
  assert.ok(calendars.some((c) => c.url === calendar.url));
  const found = await client.fetchCalendarObjects({ calendar: calendars.find((c) => c.url === calendar.url), timeRange: july, expand: true });
  assert.ok(found.length > 0);
});
await test('DAVClient', async () => {
  const client = new DAVClient({ serverUrl, credentials, authMethod: 'Basic', defaultAccountType: 'caldav' });
  await client.login();
  const [first] = await client.fetchCalendars();
  const made = await client.createCalendarObject({ calendar: first, filename: 'class.ics', iCalString: event('class', '20260715T100000Z') });
  assert.equal(made.status, 201);
  const [read] = await client.fetchCalendarObjects({ calendar: first, objectUrls: [new URL('class.ics', first.url).href] });
  assert.equal((await client.deleteCalendarObject({ calendarObject: read })).status, 204);
});
