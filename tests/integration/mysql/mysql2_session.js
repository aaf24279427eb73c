// A session of node's mysql2: what it is given on standard input says where, what it prints is how each step ended.
'use strict';

const fs = require('fs');
const { connect, other } = JSON.parse(fs.readFileSync(0, 'utf8'));
const mysql = require('mysql2/promise');

const told = [];

// Values that JSON has no word for keep their kind.
function plain(value) {
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (value instanceof Date) return { date: value.toISOString() };
  if (Buffer.isBuffer(value)) {
    return { length: value.length, hash: require('crypto').createHash('sha256').update(value).digest('hex') };
  }
  if (typeof value === 'string' && value.length > 1000) return plain(Buffer.from(value));
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
  }
  return value;
}

const described = (fields) =>
  (fields || []).map((field) =>
    Array.isArray(field)
      ? described(field)
      : field && [field.name, field.orgName, field.table, field.orgTable, field.schema, field.columnType, field.flags],
  );

async function step(name, work) {
  try {
    told.push([name, plain(await work())]);
  } catch (error) {
    told.push([name, { error: error.errno ?? null, state: error.sqlState ?? null, text: error.sqlMessage ?? String(error) }]);
  }
}

const answer = ([rows, fields]) => [rows, described(fields)];

async function prepared(connection) {
  const execute = (text, values) => connection.execute(text, values).then(answer);
  const types = 'SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, ? AS f, ? AS g';
  await step('values of every kind', () =>
    execute(types, [1, -1.5, 'Grüße, 数据 😀', null, Buffer.from([0, 255, 128]), new Date(86400000 * 365), true]));
  await step('again, with other types', () => execute(types, ['1', 2n ** 53n, '', 'null', Buffer.alloc(0), { a: 1 }, false]));
  await step('as arrays', () => connection.execute({ sql: types, rowsAsArray: true, values: [1, 2, 3, 4, 5, 6, 7] }).then(answer));
  await step('named', async () => {
    connection.connection.config.namedPlaceholders = true;
    try {
      return await execute('SELECT :one + :two AS sum, :one AS one', { one: 20, two: 22 });
    } finally {
      connection.connection.config.namedPlaceholders = false;
    }
  });
  await step('columns of a table', () => execute('SELECT * FROM customers WHERE id <= ? ORDER BY id', [5]));
  await step('all types of a table', async () => {
    await connection.query(`CREATE OR REPLACE TABLE kinds (
      id int AUTO_INCREMENT PRIMARY KEY, tiny tinyint, small smallint unsigned, medium mediumint, big bigint unsigned,
      exact decimal(30, 10), single float, twice double, day date, moment datetime(6), stamp timestamp(3) NULL, span time(2),
      year_ year, chars char(10), texts text, bytes varbinary(300), blobs longblob, bits bit(12),
      one enum('a', 'b'), some set('x', 'y', 'z'), doc json, place point)`);
    const text = `INSERT INTO kinds VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, PointFromText(?))`;
    const [first] = await connection.execute(text, [
      -128, 65535, -8388608, '18446744073709551615', '12345678901234567890.0123456789', 1.25, 1e300, '2024-02-29',
      '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.789', '-838:59:58.99', 2155, 'pad', 'long '.repeat(300),
      Buffer.alloc(300, 7), Buffer.alloc(70000, 9), 4095, 'b', 'x,z', '{"a": [1, null]}', 'POINT(1 2)']);
    const [second] = await connection.execute(text, Array(21).fill(null));
    const rows = await execute('SELECT * FROM kinds WHERE id IN (?, ?)', [first.insertId, second.insertId]);
    const simple = await connection.query('SELECT * FROM kinds').then(answer);
    return [first, second, rows, simple];
  });
  await step('one statement for many rows', async () => {
    const statement = await connection.prepare('SELECT id, city FROM customers WHERE id = ?');
    const found = [];
    for (let id = 0; id < 40; id += 1) found.push((await statement.execute([id]))[0]);
    await statement.close();
    return found;
  });
  await step('more statements than the client keeps', async () => {
    let sum = 0;
    for (let number = 0; number < 60; number += 1) {
      sum += (await connection.execute(`SELECT ? + ${number} AS n`, [number]))[0][0].n;
    }
    return [sum, Number((await connection.query("SHOW SESSION STATUS LIKE 'Com_stmt_close'"))[0][0].Value)];
  });
  await step('unprepared and prepared anew', async () => {
    connection.unprepare('SELECT id, city FROM customers WHERE id = ?');
    return execute('SELECT id, city FROM customers WHERE id = ?', [7]);
  });
  await step('a procedure with several results', async () => {
    await connection.query('CREATE OR REPLACE PROCEDURE several(n int) BEGIN SELECT n AS n; SELECT n + 1 AS m, id FROM customers LIMIT 2; END');
    return execute('CALL several(?)', [5]);
  });
  await step('a text that cannot be prepared', () => execute('SELECT nonsense FROM nowhere WHERE id = ?', [1]));
  await step('too few values', () => execute('SELECT ?, ?', [1]));
  await step('a duplicate key', async () => execute('INSERT INTO kinds (id) VALUES (?)', [1]));
  await step('no parameters at all', () => execute('SELECT COUNT(*) AS n FROM customers'));
  await step('rows as a stream', () => new Promise((resolve, reject) => {
    const ids = [];
    connection.connection.execute('SELECT id, full_name FROM customers WHERE id > ?', [150]).stream({ highWaterMark: 3 })
      .on('data', (row) => ids.push(row.id)).on('error', reject).on('end', () => resolve(ids));
  }));
  await step('executions sent at once', () =>
    Promise.all(Array.from({ length: 30 }, (_, n) => execute('SELECT ? * 2 AS twice', [n]))));
  await step('a transaction', async () => {
    await connection.beginTransaction();
    await connection.execute('UPDATE kinds SET tiny = ? WHERE id = ?', [1, 1]);
    await connection.rollback();
    return execute('SELECT tiny FROM kinds WHERE id = ?', [1]);
  });
}

async function large(connection) {
  // Neither all zeros nor noise, of which the one compresses too well and the other not at all.
  const bytes = (size) => Buffer.from(Array.from({ length: size }, (_, n) => (n * n + (n >> 7)) & 255));
  for (const size of [0, 1, 49, 50, 51, 4095, 4097, 16383, 16385, 65535, 65536, 300000]) {
    const data = bytes(size);
    await step(`a parameter of ${size} bytes`, () => connection.execute('SELECT ? AS data, LENGTH(?) AS n', [data, data]).then(answer));
    await step(`a text of ${size} bytes`, () => connection.query('SELECT ? AS data', ['x'.repeat(size)]).then(answer));
  }
  const huge = Buffer.alloc((1 << 24) + 5, 'querygate ');
  await step('a parameter above 16 MiB', () => connection.execute('SELECT ? AS data', [huge]).then(answer));
  await step('many rows', () => connection.query('SELECT * FROM customers a, customers b ORDER BY a.id, b.id LIMIT 5000').then(([rows]) => [rows.length, plain(JSON.stringify(rows))]));
  await step('several statements', () => connection.query('SELECT 1 AS a; DO 0; SELECT 2 AS b, 3 AS c').then(answer));
  await step('an error among them', () => connection.query('SELECT 1 AS a; SELECT nonsense').then(answer));
  await step('and after it', () => connection.query('SELECT 4 AS d').then(answer));
}

async function changed(connection) {
  const state = "SELECT CURRENT_USER() <> '' AS somebody, DATABASE() AS db, @kept AS kept, @@autocommit AS auto, @@sql_mode LIKE '%ANSI%' AS ansi";
  const look = () => connection.query(state).then(([rows]) => rows);
  const set = async () => {
    await connection.query("SET @kept = 7, autocommit = 0, sql_mode = 'ANSI_QUOTES'");
    await connection.execute('SELECT ? AS before_', [1]);
    return look();
  };
  await step('state before', set);
  await step('a transaction', async () => {
    await connection.query('CREATE OR REPLACE TABLE opened (id int)');
    await connection.beginTransaction();
    return (await connection.execute('INSERT INTO opened VALUES (?)', [1]))[0];
  });
  await step('another login', () => connection.changeUser(other).then(() => null));
  await step('state after', look);
  await step('a statement of before, again', () => connection.execute('SELECT ? AS before_', [2]).then(answer));
  await step('back, and the transaction is rolled back', async () => {
    const { user, password, database } = connect;
    await connection.changeUser({ user, password, database });
    return (await connection.query('SELECT COUNT(*) AS n FROM opened'))[0];
  });
  await step('ten times', async () => {
    for (let number = 0; number < 10; number += 1) {
      await connection.changeUser(number % 2 ? connect : other);
      await connection.execute('SELECT ? AS n', [number]);
    }
    return look();
  });
  await step('only the state is new', async () => {
    await connection.query('SET @kept = 8');
    await connection.reset();
    return [await look(), await connection.execute('SELECT ? AS n', [3]).then(answer)];
  });
  await step('a ping', () => connection.ping());
  await step('a wrong password', () => connection.changeUser({ ...other, password: 'wrong' }).catch((error) => error.errno));
  await step('who is there then', () => connection.query('SELECT 1').then(() => 'who was there before', () => 'nobody'));
}

async function main() {
  const connection = await mysql.createConnection({ ...connect, multipleStatements: true, maxPreparedStatements: 20, supportBigNumbers: true });
  connection.on('error', () => undefined);
  await step('compressed', () => Boolean(connection.connection.config.compress));
  await prepared(connection);
  await large(connection);
  await changed(connection);
  connection.destroy();
}

main().then(
  () => process.stdout.write(JSON.stringify(told), () => process.exit(0)),
  (error) => {
    process.stderr.write(`${error.stack}\n`, () => process.exit(1));
  },
);
