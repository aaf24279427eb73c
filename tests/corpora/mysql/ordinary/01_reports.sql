-- masks: 18
SELECT * FROM customers ORDER BY id

SELECT id, name, email, city FROM customers WHERE active ORDER BY name

SELECT count(*) FROM customers

SELECT city, count(*) AS people FROM customers GROUP BY city ORDER BY people DESC, city

SELECT DISTINCT city FROM customers ORDER BY city

SELECT status, count(*), sum(total), round(avg(total), 2) FROM orders GROUP BY status ORDER BY status

SELECT date_format(placed, '%Y-%m') AS month, count(*), sum(total) FROM orders GROUP BY 1 ORDER BY 1

SELECT date_format(placed, '%Y-%m') AS month, sum(total) AS revenue FROM orders WHERE status <> 'void' GROUP BY month HAVING revenue > 100 ORDER BY month

SELECT c.name, count(o.id) AS orders, coalesce(sum(o.total), 0) AS spent FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id, c.name ORDER BY spent DESC, c.name

SELECT c.name, c.email, o.id, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > 400 ORDER BY o.id

SELECT p.category, sum(i.quantity * i.price) AS revenue, sum(i.quantity) AS pieces FROM items i JOIN products p ON p.id = i.product_id GROUP BY p.category ORDER BY revenue DESC

SELECT p.name, p.price, rank() OVER (PARTITION BY p.category ORDER BY p.price DESC) AS r FROM products p ORDER BY p.id

SELECT id, total, sum(total) OVER (ORDER BY placed) AS running FROM orders ORDER BY placed

SELECT id, total, total - lag(total) OVER (ORDER BY placed) AS difference, lead(placed) OVER (ORDER BY placed) AS following FROM orders ORDER BY placed

SELECT name, value, avg(value) OVER w, max(value) OVER (PARTITION BY name) FROM metrics WINDOW w AS (PARTITION BY name ORDER BY at ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) ORDER BY name, at

SELECT category, name, price FROM (SELECT p.*, row_number() OVER (PARTITION BY category ORDER BY price DESC, id) AS n FROM products p) q WHERE n <= 2 ORDER BY category, price DESC

WITH monthly AS (SELECT date_format(placed, '%Y-%m-01') AS m, sum(total) AS s FROM orders GROUP BY 1) SELECT m, s, s - lag(s) OVER (ORDER BY m) AS growth FROM monthly ORDER BY m

WITH best AS (SELECT customer_id, sum(total) AS s FROM orders GROUP BY customer_id), named AS (SELECT c.name, b.s FROM best b JOIN customers c ON c.id = b.customer_id) SELECT * FROM named ORDER BY s DESC

WITH RECURSIVE chain AS (SELECT id, name, boss, 1 AS depth FROM staff WHERE boss IS NULL UNION ALL SELECT s.id, s.name, s.boss, c.depth + 1 FROM staff s JOIN chain c ON s.boss = c.id) SELECT * FROM chain ORDER BY depth, id

WITH RECURSIVE days AS (SELECT DATE '2024-05-01' AS d UNION ALL SELECT d + INTERVAL 1 DAY FROM days WHERE d < '2024-05-07') SELECT d, count(m.at) FROM days LEFT JOIN metrics m ON date(m.at) = d GROUP BY d ORDER BY d

SELECT * FROM orders WHERE placed BETWEEN '2024-02-01' AND '2024-03-01' ORDER BY id

SELECT * FROM orders WHERE status IN ('new', 'paid') AND total >= 100 ORDER BY total DESC, id LIMIT 5

SELECT * FROM orders ORDER BY id LIMIT 5, 10

SELECT id FROM orders ORDER BY id LIMIT 3 OFFSET 6

SELECT SQL_CALC_FOUND_ROWS id, status FROM orders ORDER BY id LIMIT 2
;;
SELECT FOUND_ROWS()

SELECT name, CASE WHEN price < 50 THEN 'low' WHEN price < 100 THEN 'middle' ELSE 'high' END AS band FROM products ORDER BY id

SELECT if(total > 250, 'big', 'small') AS size, count(*) FROM orders GROUP BY size ORDER BY size

SELECT ifnull(comment, '-') AS comment, count(*) FROM orders GROUP BY comment ORDER BY comment

SELECT year(placed), quarter(placed), month(placed), dayname(placed), week(placed) FROM orders ORDER BY id LIMIT 10

SELECT datediff(max(placed), min(placed)), timestampdiff(DAY, min(placed), max(placed)) FROM orders

SELECT date_add(placed, INTERVAL 1 MONTH), placed - INTERVAL 2 HOUR, last_day(placed), extract(YEAR_MONTH FROM placed) FROM orders ORDER BY id LIMIT 5

SELECT upper(name), lower(category), length(name), substring(name, 1, 4), concat(name, ' (', category, ')'), lpad(id, 5, '0') FROM products ORDER BY id

SELECT concat_ws(', ', name, category), replace(name, 'product', 'item'), locate('1', name), left(name, 3), reverse(name), trim(name) FROM products ORDER BY id

SELECT round(price * 1.19, 2), floor(price), ceil(price), mod(id, 3), id DIV 3, id % 4, abs(-price), sqrt(price), format(price, 1) FROM products ORDER BY id

SELECT group_concat(name ORDER BY id SEPARATOR '; ') FROM products WHERE category = 'books'

SELECT category, group_concat(DISTINCT added ORDER BY added DESC) FROM products GROUP BY category ORDER BY category

SELECT category, min(price), max(price), avg(price), std(price), variance(price), bit_or(id) FROM products GROUP BY category ORDER BY category

SELECT category, year(added), count(*) FROM products GROUP BY category, year(added) WITH ROLLUP

SELECT json_extract(attributes, '$.weight'), json_unquote(json_extract(attributes, '$.colour')), json_value(attributes, '$.sizes[0]') FROM products ORDER BY id

SELECT p.id, j.size FROM products p, JSON_TABLE(p.attributes, '$.sizes[*]' COLUMNS (size int PATH '$')) j ORDER BY p.id, j.size

SELECT json_object('id', id, 'name', name), json_array(id, price) FROM products ORDER BY id LIMIT 3

SELECT json_arrayagg(name), json_objectagg(id, price) FROM products WHERE id < 5

SELECT name FROM products WHERE name LIKE '%1%' ORDER BY id

SELECT name FROM products WHERE name REGEXP '[0-9]{2}$' ORDER BY id

SELECT name FROM products WHERE category NOT IN ('toys') AND NOT price BETWEEN 20 AND 60 ORDER BY id

SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 480) ORDER BY name

SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.status = 'void') ORDER BY name

SELECT name, (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) AS biggest FROM customers c ORDER BY name

SELECT o.id, s.name AS handler, c.name AS buyer FROM orders o JOIN staff s ON s.id = o.handled_by JOIN customers c ON c.id = o.customer_id ORDER BY o.id LIMIT 12

SELECT a.id, b.id FROM orders a JOIN orders b ON b.customer_id = a.customer_id AND b.id > a.id WHERE a.id < 4 ORDER BY 1, 2

SELECT * FROM items JOIN (SELECT id AS order_id, status FROM orders) o USING (order_id) ORDER BY items.id LIMIT 6

SELECT name FROM customers UNION SELECT name FROM staff ORDER BY name

SELECT city FROM customers UNION ALL SELECT office FROM staff ORDER BY 1

SELECT id FROM customers EXCEPT SELECT customer_id FROM orders WHERE total > 490

SELECT id FROM customers INTERSECT SELECT id FROM staff

SELECT * FROM order_summary ORDER BY id LIMIT 10

SELECT * FROM contact_names ORDER BY contact_id

SELECT contact_id, name, address FROM contacts ORDER BY contact_id

SELECT id FROM contact_docs ORDER BY id

SELECT id, topic FROM tickets ORDER BY id

SELECT id, room FROM lockers ORDER BY id

SELECT id, at, page FROM visits ORDER BY id

SELECT id FROM kept

SELECT id, title FROM documents ORDER BY id

SELECT name FROM products WHERE MATCH (name) AGAINST ('x')

SELECT id, greatest(price, 50), least(price, 50), coalesce(NULL, price), nullif(category, 'toys') FROM products ORDER BY id

SELECT count(*), count(comment), count(DISTINCT status), count(DISTINCT customer_id, status) FROM orders

SELECT sum(status = 'paid'), sum(if(status = 'void', total, 0)), avg(total > 100) FROM orders

SELECT first_value(name) OVER (PARTITION BY category ORDER BY price), ntile(3) OVER (ORDER BY price), cume_dist() OVER (ORDER BY price) FROM products ORDER BY id

SELECT md5(name), sha2(category, 256), crc32(name), hex(name), to_base64(name) FROM products ORDER BY id LIMIT 4

SELECT inet_aton('10.0.0.1'), inet_ntoa(167772161), bin(5), oct(8), conv('ff', 16, 10)

SELECT 1 + 1, 7 / 2, 7 DIV 2, -7 % 3, 2 * 3, 1 <=> NULL, NULL IS NULL, 'a' 'b', "double"

SELECT CAST('12' AS SIGNED), CAST(1.5 AS DECIMAL(4, 2)), CONVERT('x' USING utf8mb4), BINARY 'a' = 'A', DATE '2024-01-31' + INTERVAL 1 MONTH

SELECT `name` AS `Product Name`, price AS 'Price (net)' FROM products ORDER BY id LIMIT 3

SELECT products.name, `products`.`price` FROM `products` ORDER BY `products`.`id` DESC LIMIT 2

SELECT s.name, b.name AS boss FROM staff s LEFT JOIN staff b ON b.id = s.boss ORDER BY s.id

SELECT * FROM metrics WHERE name = 'cpu' AND value > 20 ORDER BY at LIMIT 10

SELECT name, min(at), max(at), avg(value) FROM metrics GROUP BY name ORDER BY name

SELECT * FROM results

SELECT * FROM inbox

SELECT id, total FROM orders WHERE total > (SELECT avg(total) FROM orders) ORDER BY id

SELECT id, total FROM orders WHERE total >= ALL (SELECT total FROM orders)

SELECT q.status, q.n FROM (SELECT status, count(*) AS n FROM orders GROUP BY status) AS q WHERE q.n > 5 ORDER BY q.status

SELECT 'total' AS kind, sum(total) FROM orders UNION ALL SELECT status, sum(total) FROM orders GROUP BY status

SELECT nextval(counter), lastval(counter)

SELECT x.n * y.n FROM (SELECT 1 AS n UNION SELECT 2) x CROSS JOIN (SELECT 3 AS n) y ORDER BY 1

SELECT * FROM orders USE INDEX (PRIMARY) WHERE id < 4 FOR UPDATE

SELECT id FROM orders WHERE id < 4 LOCK IN SHARE MODE

SELECT * FROM orders FORCE INDEX (placed) WHERE placed < '2024-02-01' ORDER BY placed

SELECT elt(1, 'a', 'b'), field('b', 'a', 'b'), find_in_set('b', 'a,b'), interval(5, 1, 4, 9), strcmp('a', 'b'), soundex('abc')

SELECT category, sum(price) AS s FROM products GROUP BY category ORDER BY s / 2 DESC, -s

SELECT DISTINCT category, year(added) AS y FROM products HAVING y = 2024 ORDER BY category
