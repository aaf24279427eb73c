-- Work that stores something, transactions, temporary tables, settings.
BEGIN
;;
INSERT INTO notes (body, n) VALUES ('a', 10), ('b', 20) RETURNING id, body, n
;;
UPDATE notes SET n = n + 1 WHERE body = 'a' RETURNING n
;;
DELETE FROM notes WHERE body IN ('a', 'b')
;;
COMMIT
;;
SELECT body, n FROM notes ORDER BY id

INSERT INTO notes (body) VALUES ('plain')

INSERT INTO notes (body, extra) VALUES ('json', '{"a": 1}') RETURNING extra, at

INSERT INTO notes (id, body) VALUES (1, 'dup')

INSERT INTO notes (id, body) VALUES (1, 'again') ON CONFLICT (id) DO UPDATE SET body = excluded.body || '!' RETURNING id, body

INSERT INTO notes (id, body) VALUES (1, 'nothing') ON CONFLICT DO NOTHING

INSERT INTO notes (body, n) SELECT name, id FROM products WHERE id < 4

INSERT INTO notes (body) SELECT name || '/' || category FROM products WHERE id = 5 RETURNING body

INSERT INTO products (id, name, category, price) VALUES (100, 'new product', 'tools', 9.99) RETURNING *

INSERT INTO customers (id, name, email, city) VALUES (50, 'Dora', 'dora@example.com', 'Metz') RETURNING id, name, city

UPDATE customers SET email = 'new@example.com' WHERE id = 50

UPDATE customers SET city = 'Nice', note = 'moved' WHERE id = 50 RETURNING id, city, note

UPDATE customers SET note = note || '.' WHERE id = 50

DELETE FROM customers WHERE id = 50

UPDATE products SET price = price * 1.1, attributes = attributes || '{"new": true}' WHERE category = 'books'
;;
SELECT id, price, attributes FROM products ORDER BY id

UPDATE products p SET price = p.price + 1 FROM items i WHERE i.product_id = p.id AND i.order_id = 1
;;
SELECT id, price FROM products ORDER BY id

UPDATE orders SET comment = 'big' WHERE total > (SELECT avg(total) FROM orders)

DELETE FROM items USING orders o WHERE o.id = items.order_id AND o.status = 'void'

MERGE INTO notes n USING (SELECT id, name FROM products WHERE id < 3) p ON n.id = p.id WHEN MATCHED THEN UPDATE SET body = p.name WHEN NOT MATCHED THEN INSERT (body) VALUES (p.name)

WITH moved AS (DELETE FROM notes WHERE n > 100 RETURNING *) SELECT count(*) FROM moved

WITH up AS (UPDATE notes SET n = 0 WHERE id = 1 RETURNING id, n) SELECT * FROM up

BEGIN
;;
SAVEPOINT a
;;
UPDATE notes SET body = 'temp' WHERE id = 1
;;
ROLLBACK TO SAVEPOINT a
;;
RELEASE SAVEPOINT a
;;
COMMIT

START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
;;
SELECT count(*) FROM orders
;;
COMMIT

BEGIN
;;
SELECT * FROM orders WHERE id = 1 FOR UPDATE
;;
SELECT id FROM products ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1
;;
ROLLBACK

CREATE TEMP TABLE scratch (id int PRIMARY KEY, label text DEFAULT 'x', at timestamptz DEFAULT now())
;;
INSERT INTO pg_temp.scratch (id) VALUES (1), (2)
;;
SELECT id, label FROM pg_temp.scratch ORDER BY id

CREATE TEMP TABLE totals AS SELECT customer_id, sum(total) AS t FROM orders GROUP BY customer_id
;;
SELECT customer_id, t FROM totals ORDER BY 1

CREATE TABLE report_2024 AS SELECT status, count(*) AS n FROM orders GROUP BY status
;;
SELECT * FROM report_2024 ORDER BY status
;;
DROP TABLE report_2024

SELECT category, avg(price) AS a INTO price_levels FROM products GROUP BY category

SELECT * FROM price_levels ORDER BY category

CREATE TABLE tasks (id serial PRIMARY KEY, title varchar(80) NOT NULL, done boolean DEFAULT false, due date DEFAULT CURRENT_DATE, weight numeric(6, 2) CHECK (weight > 0), order_id int REFERENCES orders (id))

INSERT INTO tasks (title, weight) VALUES ('one', 1.5) RETURNING id, title, done, weight

INSERT INTO tasks (title, weight) VALUES ('bad', -1)

CREATE INDEX tasks_title ON tasks (lower(title))

CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_due ON tasks USING btree (due DESC NULLS LAST) WHERE NOT done

ALTER TABLE tasks ADD COLUMN priority int NOT NULL DEFAULT 1

ALTER TABLE tasks ALTER COLUMN title TYPE text, ALTER COLUMN priority SET DEFAULT 2

ALTER TABLE tasks ADD CONSTRAINT tasks_priority CHECK (priority BETWEEN 1 AND 5)

COMMENT ON TABLE tasks IS 'things to do'

CREATE VIEW open_tasks AS SELECT id, title FROM tasks WHERE NOT done

SELECT * FROM open_tasks ORDER BY id

CREATE OR REPLACE VIEW paid_orders AS SELECT o.id, o.total FROM orders o WHERE status = 'paid'

SELECT count(*) FROM paid_orders

CREATE MATERIALIZED VIEW category_prices AS SELECT category, max(price) AS m FROM products GROUP BY category

REFRESH MATERIALIZED VIEW category_prices

SELECT * FROM category_prices ORDER BY 1

TRUNCATE tasks RESTART IDENTITY

DROP VIEW open_tasks

DROP TABLE IF EXISTS tasks CASCADE

DROP TABLE IF EXISTS never_was

CREATE SCHEMA IF NOT EXISTS reporting

CREATE TABLE reporting.kpi (name text, value numeric, PRIMARY KEY (name))

INSERT INTO reporting.kpi VALUES ('revenue', 1000) ON CONFLICT (name) DO UPDATE SET value = excluded.value

SELECT * FROM reporting.kpi

CREATE TYPE colour AS ENUM ('red', 'green')

CREATE TYPE pair AS (a int, b int)

CREATE DOMAIN positive AS int CHECK (VALUE > 0)

CREATE SEQUENCE invoice_numbers START 100

SELECT nextval('invoice_numbers'), currval('invoice_numbers')

SELECT setval('invoice_numbers', 500)

SELECT setval('invoice_numbers', (SELECT max(id) FROM orders))

VACUUM ANALYZE notes

ANALYZE products

SET search_path = lab, public
;;
SELECT id, name, email FROM lab.customers
;;
RESET search_path

SET statement_timeout = '5s'
;;
SHOW statement_timeout
;;
SELECT count(*) FROM orders
;;
RESET statement_timeout

SET LOCAL work_mem = '8MB'

SET TIME ZONE 'Europe/Berlin'
;;
SELECT placed FROM orders WHERE id = 1
;;
RESET timezone

SET client_encoding TO 'UTF8'

SET application_name = 'report'
;;
SHOW application_name

SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED

SHOW server_version

SHOW transaction_isolation

SHOW ALL

DISCARD ALL

LISTEN news
;;
NOTIFY news, 'hello'
;;
UNLISTEN *

LOCK TABLE notes IN SHARE MODE

BEGIN
;;
LOCK TABLE notes IN SHARE MODE
;;
COMMIT

SELECT pg_advisory_lock(42)
;;
SELECT pg_advisory_unlock(42)

SELECT pg_try_advisory_lock(hashtext('job'))

COPY (SELECT id, name FROM products ORDER BY id) TO STDOUT

COPY (SELECT id, name, city FROM customers ORDER BY id) TO STDOUT CSV

COPY products (id, name) TO STDOUT WITH (FORMAT csv, HEADER)

@copy 77\tcopied\t5
;;
COPY notes (id, body, n) FROM STDIN
;;
SELECT id, body, n FROM notes WHERE id = 77

SELECT * FROM nowhere

SELECT nothing FROM products

SELEC 1

SELECT 1 / 0

SELECT 'x'::int

UPDATE orders SET customer_id = 999 WHERE id = 1

GRANT SELECT ON products TO PUBLIC

DELETE FROM notes
;;
SELECT count(*) FROM notes
