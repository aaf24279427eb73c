-- The database that both corpora run on. Names in braces are canaries' places; they stand in labelled columns and nowhere else.
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE EXTENSION pg_trgm;
CREATE EXTENSION fuzzystrmatch;
CREATE EXTENSION intarray;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION unaccent;
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION tablefunc;
CREATE EXTENSION xml2;
CREATE EXTENSION dblink;
CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION pageinspect;
CREATE EXTENSION pg_stat_statements;
CREATE EXTENSION lo;

CREATE TYPE tier AS ENUM ('bronze', 'silver', 'gold');
CREATE DOMAIN contact_line AS text CHECK (length(VALUE) > 3);
CREATE TYPE address AS (street text, zip text);

CREATE TABLE customers (
    id int PRIMARY KEY,
    name text NOT NULL,
    city text,
    joined date NOT NULL DEFAULT '2024-01-01',
    active boolean NOT NULL DEFAULT true,
    email text,
    phone varchar(40),
    tax_number char(16),
    card varchar(24),
    born date,
    income int,
    balance numeric(14, 2),
    credit bigint,
    secret_doc jsonb,
    aliases text[],
    key_material bytea,
    ref_uuid uuid,
    level tier,
    contact contact_line,
    slot int,
    note text,
    UNIQUE (tax_number, slot) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO customers VALUES
    (1, 'Anna', 'Lyon', '2024-01-15', true, '${email_1}', '${phone_1}', '${tax_1}', '${card_1}', '${born_1}', ${income_1},
     ${balance_1}, ${credit_1}, '{"code": "${doc_1}", "n": 1, "list": ["${doc_1}"]}', ARRAY['${alias_1}', 'a'],
     '\x${blob_1}', '${uuid_1}', 'gold', '${contact_1}', 1, 'first'),
    (2, 'Bert', 'Graz', '2024-03-02', true, '${email_2}', '${phone_2}', '${tax_1}', '${card_2}', '${born_2}', ${income_2},
     ${balance_2}, ${credit_2}, '{"code": "${doc_2}", "n": 2, "list": ["${doc_2}"]}', ARRAY['${alias_2}', 'b'],
     '\x${blob_2}', '${uuid_2}', 'silver', '${contact_2}', 2, 'second'),
    (3, 'Carl', 'Lyon', '2024-06-30', false, '${email_3}', '${phone_3}', '${tax_3}', '${card_3}', '${born_3}', ${income_3},
     ${balance_3}, ${credit_3}, '{"code": "${doc_3}", "n": 3, "list": ["${doc_3}"]}', ARRAY['${alias_3}', 'c'],
     '\x${blob_3}', '${uuid_3}', 'bronze', '${contact_3}', 3, 'third');

CREATE TABLE staff (
    id int PRIMARY KEY, name text, title text, boss int, office text, hired date, salary int, home_email text
);
INSERT INTO staff VALUES
    (1, 'Olga', 'director', NULL, 'Lyon', '2015-02-01', ${salary_1}, '${home_1}'),
    (2, 'Paul', 'manager', 1, 'Graz', '2018-09-15', ${salary_2}, '${home_2}'),
    (3, 'Rita', 'clerk', 2, 'Graz', '2021-05-20', ${salary_3}, '${home_3}');

CREATE TABLE homes (id int PRIMARY KEY, place address, label text);
INSERT INTO homes VALUES (1, ROW('${street_1}', '1010'), 'town'), (2, ROW('${street_2}', '2020'), 'lake');

CREATE TABLE products (
    id int PRIMARY KEY, name text NOT NULL, category text, price numeric(10, 2), attributes jsonb, tags text[], added date
);
INSERT INTO products
    SELECT i, 'product ' || i, (ARRAY['tools', 'books', 'toys'])[1 + i % 3], i * 7.25,
           jsonb_build_object('weight', i * 10, 'colour', (ARRAY['red', 'blue'])[1 + i % 2], 'sizes', jsonb_build_array(i, i + 1)),
           ARRAY['t' || i % 4, 'all'], DATE '2024-01-01' + i * 9
    FROM generate_series(1, 20) i;

CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, placed timestamptz NOT NULL, status text NOT NULL,
    total numeric(10, 2), comment text, handled_by int REFERENCES staff
);
INSERT INTO orders
    SELECT i, 1 + i % 3, TIMESTAMPTZ '2024-01-10 09:00+00' + i * INTERVAL '6 days 3 hours',
           (ARRAY['new', 'paid', 'sent', 'void'])[1 + i % 4], i * 12.5, CASE WHEN i % 5 = 0 THEN 'urgent' END, 1 + i % 3
    FROM generate_series(1, 40) i;
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (placed);

CREATE TABLE items (
    order_id int REFERENCES orders, line int, product_id int REFERENCES products, quantity int, price numeric(10, 2),
    PRIMARY KEY (order_id, line)
);
INSERT INTO items
    SELECT o, l, 1 + (o * l) % 20, 1 + (o + l) % 4, ((o * l) % 20 + 1) * 7.25
    FROM generate_series(1, 40) o, generate_series(1, 2) l;

CREATE TABLE notes (id serial PRIMARY KEY, body text, n bigint, extra jsonb, at timestamptz DEFAULT '2024-02-02 02:02+00');
INSERT INTO notes (body, n, extra) VALUES ('hello', 1, '{"k": 1}'), ('world', 2, '{"k": [1, 2]}');

CREATE TABLE metrics (at timestamptz, name text, value double precision);
INSERT INTO metrics
    SELECT TIMESTAMPTZ '2024-05-01 00:00+00' + i * INTERVAL '5 hours', (ARRAY['cpu', 'disk'])[1 + i % 2], 10 + i % 17
    FROM generate_series(0, 59) i;

-- Inheritance and partitions: the label is on the parent's column.
CREATE TABLE documents (id int, title text, body text);
CREATE TABLE contracts (value numeric) INHERITS (documents);
INSERT INTO documents VALUES (1, 'memo', '${body_1}');
INSERT INTO contracts VALUES (2, 'lease', '${body_2}', 1000);
CREATE TABLE visits (id int, at date, page text, visitor text) PARTITION BY RANGE (at);
CREATE TABLE visits_2023 PARTITION OF visits FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO visits VALUES (1, '2023-05-05', '/home', '${visitor_1}'), (2, '2024-06-06', '/cart', '${visitor_2}');

-- A generated column over a labelled one, and a labelled column that was added with a default.
CREATE TABLE tickets (id int PRIMARY KEY, topic text, ticket_key text, loud text GENERATED ALWAYS AS (upper(ticket_key)) STORED);
INSERT INTO tickets VALUES (1, 'a', '${ticket_1}'), (2, 'b', '${ticket_2}');
CREATE TABLE lockers (id int PRIMARY KEY, pin int, room text);
INSERT INTO lockers VALUES (1, ${pin_1}, 'r1'), (2, ${pin_2}, 'r2');
ALTER TABLE lockers ADD COLUMN code text DEFAULT '${secret_code}';

-- Columns of the same names in a schema without labels.
CREATE SCHEMA lab;
CREATE TABLE lab.customers (id int, name text, city text, joined date, active boolean, email text, phone text);
INSERT INTO lab.customers VALUES (1, 'Test', 'Nowhere', '2024-01-01', true, 'nobody@example.com', '000');
CREATE TABLE lab.results (id int, email text);
INSERT INTO lab.results VALUES (1, 'result@example.com');

CREATE VIEW contacts AS SELECT id AS contact_id, name, email AS address, phone FROM customers;
CREATE VIEW contact_names AS SELECT contact_id, name FROM contacts;
CREATE VIEW contact_docs AS SELECT id, to_jsonb(c.*) AS doc FROM customers c;
CREATE VIEW contact_mix AS SELECT name AS label FROM products UNION ALL SELECT email FROM customers;
CREATE VIEW order_summary AS
    SELECT o.id, c.name AS customer, o.status, count(*) AS lines, sum(i.quantity * i.price) AS amount
    FROM orders o JOIN customers c ON c.id = o.customer_id JOIN items i ON i.order_id = o.id GROUP BY o.id, c.name;
CREATE MATERIALIZED VIEW monthly_sales AS
    SELECT date_trunc('month', placed AT TIME ZONE 'UTC') AS month, sum(total) AS revenue FROM orders GROUP BY 1;
CREATE MATERIALIZED VIEW contact_cache AS SELECT id, email AS cached, tax_number AS cached_tax FROM customers;
CREATE UNIQUE INDEX ON contact_cache (id);

-- Code of somebody else's.
CREATE FUNCTION mail_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.customers WHERE id = $1';
CREATE FUNCTION all_mails() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT email FROM public.customers';
CREATE FUNCTION reach(customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.email';
CREATE FUNCTION cursor_of() RETURNS refcursor LANGUAGE plpgsql AS
    $$DECLARE c refcursor := 'shared'; BEGIN OPEN c FOR SELECT email FROM public.customers; RETURN c; END$$;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE NOTICE 'seen %', (SELECT email FROM public.customers WHERE id = 1);
      PERFORM pg_notify('mails', (SELECT email FROM public.customers WHERE id = 2)); RETURN NEW; END$$;
CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'not for %', (SELECT email FROM public.customers WHERE id = 1)
      USING DETAIL = (SELECT phone FROM public.customers WHERE id = 1); END$$;
CREATE TABLE inbox (id serial, body text);
CREATE TRIGGER shout AFTER INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TABLE late (id int, body text);
CREATE CONSTRAINT TRIGGER choke AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION choke();
CREATE PROCEDURE tell(INOUT mail text) LANGUAGE plpgsql AS
    $$BEGIN SELECT email INTO mail FROM public.customers WHERE id = 1; RAISE NOTICE '%', mail; END$$;
CREATE FUNCTION lab.lower(text) RETURNS text LANGUAGE sql STABLE AS
    'SELECT email FROM public.customers LIMIT 1';
CREATE FUNCTION peek(int, int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.customers WHERE id = $1';
CREATE OPERATOR ~@~ (LEFTARG = int, RIGHTARG = int, FUNCTION = peek);
CREATE FUNCTION gathered(text, text) RETURNS text LANGUAGE sql AS 'SELECT email FROM public.customers WHERE id = 1';
CREATE AGGREGATE gather(text) (SFUNC = gathered, STYPE = text);
CREATE VIEW hidden AS SELECT id, mail_of(id) AS m FROM products WHERE id < 4;
CREATE SERVER logs FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE logged (line text) SERVER logs OPTIONS (filename '/dev/null', delimiter E'\x01');
CREATE TYPE hollow AS ();
CREATE TABLE mailer (id int);
CREATE RULE rewrite AS ON INSERT TO mailer DO INSTEAD SELECT email FROM customers;
CREATE SEQUENCE counter;
CREATE STATISTICS customer_statistics (mcv) ON email, phone FROM customers;
ANALYZE;
