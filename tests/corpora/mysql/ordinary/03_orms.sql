SELECT `products`.`id`, `products`.`name`, `products`.`category`, `products`.`price` FROM `products` WHERE `products`.`category` = 'books' ORDER BY `products`.`id` ASC LIMIT 21

SELECT COUNT(*) AS `__count` FROM `orders` INNER JOIN `customers` ON (`orders`.`customer_id` = `customers`.`id`) WHERE `customers`.`name` = 'Anna'

SELECT (1) AS `a` FROM `orders` WHERE `orders`.`status` = 'new' LIMIT 1

SELECT `customers`.`id`, `customers`.`name`, COUNT(`orders`.`id`) AS `n` FROM `customers` LEFT OUTER JOIN `orders` ON (`customers`.`id` = `orders`.`customer_id`) GROUP BY `customers`.`id` ORDER BY NULL

SELECT orders_1.id AS orders_1_id, orders_1.status AS orders_1_status, anon_1.customers_id AS anon_1_customers_id FROM (SELECT customers.id AS customers_id FROM customers LIMIT 2) AS anon_1 INNER JOIN orders AS orders_1 ON anon_1.customers_id = orders_1.customer_id ORDER BY orders_1.id

SELECT c1_0.id, c1_0.city, c1_0.name, o1_0.customer_id, o1_0.id, o1_0.total FROM customers c1_0 LEFT JOIN orders o1_0 ON c1_0.id = o1_0.customer_id WHERE c1_0.id = 1 ORDER BY o1_0.id

SELECT t0.id AS id1, t0.name AS name2, t1.total AS total3 FROM customers t0 INNER JOIN orders t1 ON t1.customer_id = t0.id WHERE t1.total > 450 ORDER BY t1.id

SELECT `Customer`.`id`, `Customer`.`name`, `Orders`.`id` AS `Orders.id`, `Orders`.`total` AS `Orders.total` FROM `customers` AS `Customer` LEFT OUTER JOIN `orders` AS `Orders` ON `Customer`.`id` = `Orders`.`customer_id` ORDER BY `Orders`.`id` LIMIT 5

select `id`, `name` from `products` where `id` in (1, 2, 3) order by `id`

select exists(select * from `orders` where `id` = 5) as `exists`

select count(*) as aggregate from `orders` where `status` = 'paid'

SELECT DISTINCT `products`.`category` FROM `products` ORDER BY `products`.`category`

SELECT `p`.`id`, `p`.`name` FROM `products` AS `p` WHERE (`p`.`price` > 20.5) AND (`p`.`name` LIKE '%product 1%' ESCAPE '!') ORDER BY `p`.`id`

SELECT `t`.`id`, `t`.`status` FROM (SELECT `o`.`id`, `o`.`status`, ROW_NUMBER() OVER(PARTITION BY `o`.`customer_id` ORDER BY `o`.`id`) AS `row` FROM `orders` AS `o`) AS `t` WHERE `t`.`row` <= 2 ORDER BY `t`.`id`

INSERT INTO `results` (`id`, `email`, `note`) VALUES (10, 'a@example.com', 'n')
;;
SELECT * FROM results ORDER BY id

INSERT INTO inbox (body) VALUES ('one'), ('two'), ('three')
;;
SELECT LAST_INSERT_ID() > 0

INSERT IGNORE INTO results (id, note) VALUES (1, 'again')

INSERT INTO results SET id = 11, note = 'set'

INSERT INTO results (id, note) VALUES (12, 'x') ON DUPLICATE KEY UPDATE note = VALUES(note)

REPLACE INTO results (id, note) VALUES (13, 'r')

INSERT INTO results (id, note) SELECT id + 100, name FROM products WHERE id < 4

INSERT INTO results (id, note) VALUES (14, 'back') RETURNING id, note

UPDATE results SET note = concat(note, '!') WHERE id = 10

UPDATE orders SET status = 'sent', total = total + 1 WHERE id = 3 AND status <> 'sent'

UPDATE orders o JOIN staff s ON s.id = o.handled_by SET o.comment = s.name WHERE o.id = 4

UPDATE customers SET note = 'seen', active = NOT active WHERE id = 2

UPDATE customers SET email = 'new@example.com' WHERE id = 3

UPDATE products SET price = CASE WHEN id = 1 THEN 5 ELSE price END WHERE id IN (1, 2)

DELETE FROM results WHERE id = 10

DELETE FROM items WHERE order_id = 40 LIMIT 1

DELETE i FROM items i JOIN orders o ON o.id = i.order_id WHERE o.id = 39

DELETE FROM results WHERE id = 11 RETURNING id

START TRANSACTION
;;
UPDATE orders SET comment = 'tx' WHERE id = 5
;;
ROLLBACK
;;
SELECT comment FROM orders WHERE id = 5

BEGIN
;;
SAVEPOINT s1
;;
INSERT INTO inbox (body) VALUES ('gone')
;;
ROLLBACK TO SAVEPOINT s1
;;
RELEASE SAVEPOINT s1
;;
COMMIT

CREATE TABLE scratch (id int AUTO_INCREMENT PRIMARY KEY, label varchar(20) NOT NULL DEFAULT 'x', made datetime DEFAULT CURRENT_TIMESTAMP, doubled int AS (id * 2), KEY (label), CHECK (label <> '')) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
;;
ALTER TABLE scratch ADD COLUMN more int NULL, ADD INDEX more_idx (more)
;;
INSERT INTO scratch (label) VALUES ('a'), ('b')
;;
SELECT id, label, doubled, more FROM scratch ORDER BY id
;;
CREATE INDEX two ON scratch (label, id)
;;
TRUNCATE TABLE scratch
;;
DROP TABLE IF EXISTS scratch

CREATE VIEW cheap AS SELECT id, name FROM products WHERE price < 30
;;
SELECT * FROM cheap ORDER BY id
;;
DROP VIEW cheap

LOCK TABLES products READ
;;
SELECT count(*) FROM products
;;
UNLOCK TABLES

FLUSH TABLES

ANALYZE TABLE products

CHECK TABLE orders

OPTIMIZE TABLE products

SELECT GET_LOCK(DATABASE(), 1)
;;
SELECT RELEASE_LOCK(DATABASE())

SELECT IS_FREE_LOCK('migrate')

SELECT nothing FROM products

SELECT * FROM nowhere

SELEC 1

INSERT INTO products (id, name) VALUES (1, 'again')

SELECT 1; SELECT 2, 'x'

SELECT id FROM products ORDER BY id LIMIT 2; SELECT count(*) FROM orders

SELECT id, name /*!50000 , category */ FROM products ORDER BY id LIMIT 2

SELECT name -- a comment
FROM products # another
ORDER BY id LIMIT 1

SELECT 'it''s', "a \"quoted\" word", 'tab\tand\\', '100\%', N'n', _utf8mb4'u', x'4142', 0x4344, b'1000001'

SELECT * FROM `orders` WHERE (`customer_id`, `status`) IN ((1, 'new'), (2, 'paid')) ORDER BY `id`

SELECT name FROM products WHERE id = 3 OR id = 4 XOR id = 4

SELECT name FROM products some_alias ORDER BY some_alias.id LIMIT 1

SHOW INDEXES FROM orders
