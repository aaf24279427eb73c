-- The database that both corpora run on. Names in braces are canaries' places; they stand in labelled columns only.
CREATE TABLE customers (
    id int PRIMARY KEY, name varchar(40) NOT NULL, city varchar(40), joined date NOT NULL DEFAULT '2024-01-01',
    active boolean NOT NULL DEFAULT true, email varchar(80), phone varchar(40), tax_number char(16), card varchar(24),
    born date, income int, balance decimal(14, 2), credit bigint, secret_doc json, aliases json,
    key_material varbinary(64), ref_uuid char(36), level enum('bronze', 'silver', 'gold'), contact varchar(60), slot int,
    note varchar(80), UNIQUE KEY tax_slot (tax_number, slot)
);
INSERT INTO customers VALUES
    (1, 'Anna', 'Lyon', '2024-01-15', true, '${email_1}', '${phone_1}', '${tax_1}', '${card_1}', '${born_1}', ${income_1},
     ${balance_1}, ${credit_1}, '{"code": "${doc_1}", "n": 1, "list": ["${doc_1}"]}', '["${alias_1}", "a"]',
     x'${blob_1}', '${uuid_1}', 'gold', '${contact_1}', 1, 'first'),
    (2, 'Bert', 'Graz', '2024-03-02', true, '${email_2}', '${phone_2}', '${tax_1}', '${card_2}', '${born_2}', ${income_2},
     ${balance_2}, ${credit_2}, '{"code": "${doc_2}", "n": 2, "list": ["${doc_2}"]}', '["${alias_2}", "b"]',
     x'${blob_2}', '${uuid_2}', 'silver', '${contact_2}', 2, 'second'),
    (3, 'Carl', 'Lyon', '2024-06-30', false, '${email_3}', '${phone_3}', '${tax_3}', '${card_3}', '${born_3}', ${income_3},
     ${balance_3}, ${credit_3}, '{"code": "${doc_3}", "n": 3, "list": ["${doc_3}"]}', '["${alias_3}", "c"]',
     x'${blob_3}', '${uuid_3}', 'bronze', '${contact_3}', 3, 'third');
CREATE TABLE staff (
    id int PRIMARY KEY, name varchar(40), title varchar(40), boss int, office varchar(40), hired date, salary int,
    home_email varchar(80)
);
INSERT INTO staff VALUES
    (1, 'Olga', 'director', NULL, 'Lyon', '2015-02-01', ${salary_1}, '${home_1}'),
    (2, 'Paul', 'manager', 1, 'Graz', '2018-09-15', ${salary_2}, '${home_2}'),
    (3, 'Rita', 'clerk', 2, 'Graz', '2021-05-20', ${salary_3}, '${home_3}');
CREATE TABLE products (
    id int PRIMARY KEY, name varchar(40) NOT NULL, category varchar(20), price decimal(10, 2), attributes json, added date
);
INSERT INTO products SELECT seq, concat('product ', seq), elt(1 + seq % 3, 'tools', 'books', 'toys'), seq * 7.25,
    json_object('weight', seq * 10, 'colour', elt(1 + seq % 2, 'red', 'blue'), 'sizes', json_array(seq, seq + 1)),
    DATE '2024-01-01' + INTERVAL seq * 9 DAY FROM seq_1_to_20;
CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int NOT NULL, placed datetime NOT NULL, status varchar(10) NOT NULL,
    total decimal(10, 2), comment varchar(80), handled_by int, KEY (customer_id), KEY (placed),
    FOREIGN KEY (customer_id) REFERENCES customers (id)
);
INSERT INTO orders SELECT seq, 1 + seq % 3, TIMESTAMP '2024-01-10 09:00:00' + INTERVAL seq * 147 HOUR,
    elt(1 + seq % 4, 'new', 'paid', 'sent', 'void'), seq * 12.5, if(seq % 5 = 0, 'urgent', NULL), 1 + seq % 3
    FROM seq_1_to_40;
CREATE TABLE items (id int PRIMARY KEY, order_id int NOT NULL, product_id int NOT NULL, quantity int, price decimal(10, 2));
INSERT INTO items SELECT seq, 1 + seq % 40, 1 + seq % 20, 1 + seq % 4, seq * 3.5 FROM seq_1_to_80;
CREATE TABLE metrics (at datetime, name varchar(10), value double);
INSERT INTO metrics SELECT TIMESTAMP '2024-05-01 00:00:00' + INTERVAL seq * 5 HOUR, elt(1 + seq % 2, 'cpu', 'disk'),
    10 + seq % 17 FROM seq_0_to_59;
CREATE TABLE documents (id int PRIMARY KEY, title varchar(40), body varchar(200), FULLTEXT KEY words (body));
INSERT INTO documents VALUES (1, 'memo', '${body_1}'), (2, 'lease', '${body_2}');
CREATE TABLE visits (id int, at date, page varchar(20), visitor varchar(40)) PARTITION BY RANGE COLUMNS (at) (
    PARTITION v2023 VALUES LESS THAN ('2024-01-01'), PARTITION v2024 VALUES LESS THAN (MAXVALUE));
INSERT INTO visits VALUES (1, '2023-05-05', '/home', '${visitor_1}'), (2, '2024-06-06', '/cart', '${visitor_2}');
CREATE TABLE tickets (
    id int PRIMARY KEY, topic varchar(20), ticket_key varchar(40), loud varchar(40) AS (upper(ticket_key)) STORED,
    short varchar(40) AS (left(ticket_key, 20)) VIRTUAL
);
INSERT INTO tickets (id, topic, ticket_key) VALUES (1, 'a', '${ticket_1}'), (2, 'b', '${ticket_2}');
CREATE TABLE lockers (id int PRIMARY KEY, pin int INVISIBLE, room varchar(10), code varchar(40) DEFAULT 'none');
INSERT INTO lockers (id, pin, room, code) VALUES (1, ${pin_1}, 'r1', '${secret_code}'), (2, ${pin_2}, 'r2', 'x');
CREATE TABLE kept (id int PRIMARY KEY, body varchar(80)) WITH SYSTEM VERSIONING;
INSERT INTO kept VALUES (1, '${alias_3}');
UPDATE kept SET body = 'gone' WHERE id = 1;
CREATE TABLE old_mails (id int, mail varchar(80)) ENGINE=MyISAM;
INSERT INTO old_mails VALUES (1, '${home_1}');
CREATE TABLE merged_mails (id int, mail varchar(80)) ENGINE=MERGE UNION=(old_mails);
CREATE TABLE results (id int, email varchar(80), note varchar(80));
INSERT INTO results VALUES (1, 'result@example.com', 'plain');
CREATE TABLE inbox (id int AUTO_INCREMENT PRIMARY KEY, body varchar(80));
CREATE TABLE late (id int, body varchar(80));
CREATE VIEW contacts AS SELECT id AS contact_id, name, email AS address, phone FROM customers;
CREATE VIEW contact_names AS SELECT contact_id, name FROM contacts;
CREATE ALGORITHM=TEMPTABLE VIEW contact_copies AS SELECT id, email AS copied FROM customers;
CREATE VIEW contact_docs AS SELECT id, json_object('e', email, 'p', phone) AS doc FROM customers;
CREATE VIEW contact_mix AS SELECT name AS label FROM products UNION ALL SELECT email FROM customers;
CREATE VIEW order_summary AS
    SELECT o.id, c.name AS customer, o.status, count(*) AS entries, sum(i.quantity * i.price) AS amount
    FROM orders o JOIN customers c ON c.id = o.customer_id JOIN items i ON i.order_id = o.id GROUP BY o.id, c.name, o.status;
CREATE FUNCTION mail_of(n int) RETURNS varchar(80) READS SQL DATA RETURN (SELECT email FROM customers WHERE id = n);
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
CREATE VIEW hidden AS SELECT id, mail_of(id) AS m FROM products WHERE id < 4;
CREATE PROCEDURE tell() SELECT email FROM customers;
CREATE PROCEDURE fetch_mail(OUT mail varchar(80)) SELECT email INTO mail FROM customers WHERE id = 1;
CREATE PROCEDURE run_it(q text) EXECUTE IMMEDIATE q;
CREATE TRIGGER remember AFTER INSERT ON inbox FOR EACH ROW SET @remembered = (SELECT email FROM customers WHERE id = 1);
CREATE TRIGGER choke BEFORE INSERT ON late FOR EACH ROW BEGIN DECLARE m varchar(80); SELECT phone INTO m FROM customers
    WHERE id = 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = m; END;
CREATE SEQUENCE counter;
SET SESSION use_stat_tables = 'complementary', SESSION histogram_size = 32;
ANALYZE TABLE customers PERSISTENT FOR ALL;
ANALYZE TABLE staff PERSISTENT FOR ALL;
