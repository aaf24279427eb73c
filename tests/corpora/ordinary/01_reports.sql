-- Reports, as analysts write them.
-- masks: 18
SELECT * FROM customers ORDER BY id

SELECT id, name, email, city FROM customers WHERE active ORDER BY name

SELECT count(*) FROM customers

SELECT city, count(*) AS people FROM customers GROUP BY city ORDER BY people DESC, city

SELECT DISTINCT city FROM customers ORDER BY city

SELECT status, count(*), sum(total), avg(total)::numeric(12, 2) FROM orders GROUP BY status ORDER BY status

SELECT date_trunc('month', placed) AS month, count(*), sum(total) FROM orders GROUP BY 1 ORDER BY 1

SELECT to_char(placed, 'YYYY-MM') AS month, sum(total) AS revenue FROM orders WHERE status <> 'void' GROUP BY 1 HAVING sum(total) > 100 ORDER BY 1

SELECT c.name, count(o.id) AS orders, coalesce(sum(o.total), 0) AS spent
FROM customers c LEFT JOIN orders o ON o.customer_id = c.id
GROUP BY c.id, c.name
ORDER BY spent DESC, c.name

SELECT c.name, c.email, o.id, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.total > 400 ORDER BY o.id

SELECT p.category, sum(i.quantity * i.price) AS revenue, sum(i.quantity) AS pieces
FROM items i JOIN products p ON p.id = i.product_id
GROUP BY p.category ORDER BY revenue DESC

SELECT p.name, p.price, rank() OVER (PARTITION BY p.category ORDER BY p.price DESC) AS r FROM products p ORDER BY p.id

SELECT id, total, sum(total) OVER (ORDER BY placed) AS running FROM orders ORDER BY placed

SELECT id, total, total - lag(total) OVER (ORDER BY placed) AS change, lead(placed) OVER (ORDER BY placed) AS next FROM orders ORDER BY placed

SELECT name, value, avg(value) OVER w, max(value) OVER w FROM metrics WINDOW w AS (PARTITION BY name ORDER BY at ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) ORDER BY name, at

SELECT category, name, price FROM (SELECT p.*, row_number() OVER (PARTITION BY category ORDER BY price DESC, id) AS n FROM products p) q WHERE n <= 2 ORDER BY category, price DESC

WITH monthly AS (SELECT date_trunc('month', placed) AS m, sum(total) AS s FROM orders GROUP BY 1)
SELECT m, s, s - lag(s) OVER (ORDER BY m) AS growth, round(100 * s / sum(s) OVER (), 2) AS share FROM monthly ORDER BY m

WITH top AS (SELECT customer_id, sum(total) AS t FROM orders GROUP BY customer_id ORDER BY t DESC LIMIT 2)
SELECT c.name, top.t FROM top JOIN customers c ON c.id = top.customer_id ORDER BY top.t DESC

WITH RECURSIVE chain AS (
    SELECT id, name, boss, 1 AS depth FROM staff WHERE boss IS NULL
    UNION ALL
    SELECT s.id, s.name, s.boss, c.depth + 1 FROM staff s JOIN chain c ON s.boss = c.id
)
SELECT * FROM chain ORDER BY depth, id

WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 20) SELECT sum(n) FROM numbers

SELECT category, status, count(*) FROM items i JOIN products p ON p.id = i.product_id JOIN orders o ON o.id = i.order_id
GROUP BY ROLLUP (category, status) ORDER BY category NULLS LAST, status NULLS LAST

SELECT category, extract(year FROM added) AS y, sum(price), grouping(category) FROM products GROUP BY CUBE (category, extract(year FROM added)) ORDER BY 1 NULLS LAST, 2 NULLS LAST

SELECT category, count(*), grouping(category, id % 2) FROM products GROUP BY GROUPING SETS ((category), (id % 2), ()) ORDER BY 3, 1 NULLS LAST, 2

SELECT status, count(*) FILTER (WHERE total > 200) AS big, count(*) FILTER (WHERE total <= 200) AS small FROM orders GROUP BY status ORDER BY 1

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), percentile_disc(0.9) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY status) FROM orders

SELECT stddev(total), variance(total), min(total), max(total), corr(total, id), regr_slope(total, id) FROM orders

SELECT d::date AS day, count(o.id) FROM generate_series('2024-01-10'::date, '2024-02-10'::date, '1 day') d LEFT JOIN orders o ON o.placed::date = d::date GROUP BY 1 ORDER BY 1

SELECT width_bucket(total, 0, 500, 5) AS bucket, count(*) FROM orders GROUP BY 1 ORDER BY 1

SELECT CASE WHEN total < 100 THEN 'small' WHEN total < 300 THEN 'medium' ELSE 'large' END AS size, count(*) FROM orders GROUP BY 1 ORDER BY 1

SELECT string_agg(name, ', ' ORDER BY name) AS names FROM products WHERE category = 'books'

SELECT category, array_agg(id ORDER BY id) FROM products GROUP BY category ORDER BY category

SELECT category, json_agg(json_build_object('id', id, 'name', name) ORDER BY id) FROM products GROUP BY category ORDER BY category

SELECT p.name, p.attributes ->> 'colour' AS colour, (p.attributes ->> 'weight')::int AS weight FROM products p WHERE p.attributes @> '{"colour": "red"}' ORDER BY p.id

SELECT attributes -> 'sizes' -> 0, attributes #>> '{sizes,1}', jsonb_array_length(attributes -> 'sizes') FROM products ORDER BY id

SELECT p.id, s.value::int FROM products p, jsonb_array_elements_text(p.attributes -> 'sizes') AS s(value) ORDER BY 1, 2

SELECT key, count(*) FROM products, jsonb_object_keys(attributes) AS key GROUP BY key ORDER BY key

SELECT e.key, e.value FROM products p, jsonb_each(p.attributes) e WHERE p.id = 1 ORDER BY 1

SELECT jsonb_path_query(attributes, '$.sizes[*] ? (@ > 3)') FROM products ORDER BY id

SELECT id, t FROM products, unnest(tags) AS t ORDER BY 1, 2

SELECT id FROM products WHERE 't1' = ANY (tags) ORDER BY id

SELECT id FROM products WHERE tags && ARRAY['t1', 't2'] ORDER BY id

SELECT o.id, l.name FROM orders o CROSS JOIN LATERAL (SELECT p.name FROM items i JOIN products p ON p.id = i.product_id WHERE i.order_id = o.id ORDER BY i.line LIMIT 1) l ORDER BY o.id

SELECT name FROM products WHERE id IN (SELECT product_id FROM items GROUP BY product_id HAVING sum(quantity) > 10) ORDER BY name

SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.total > 480) ORDER BY name

SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.status = 'nope') ORDER BY name

SELECT name, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS n, (SELECT max(placed) FROM orders o WHERE o.customer_id = c.id) AS last FROM customers c ORDER BY name

SELECT name FROM products WHERE price > ALL (SELECT price FROM products WHERE category = 'toys' AND id < 5) ORDER BY name

SELECT name FROM products EXCEPT SELECT name FROM products WHERE category = 'toys' ORDER BY 1

SELECT city FROM customers UNION SELECT office FROM staff ORDER BY 1

SELECT city AS place FROM customers INTERSECT SELECT office FROM staff ORDER BY 1

SELECT 'customer' AS kind, name FROM customers UNION ALL SELECT 'staff', name FROM staff ORDER BY 1, 2

SELECT s.name, b.name AS boss FROM staff s LEFT JOIN staff b ON b.id = s.boss ORDER BY s.id

SELECT o.id, c.name, s.name AS handler FROM orders o JOIN customers c ON c.id = o.customer_id JOIN staff s ON s.id = o.handled_by ORDER BY o.id LIMIT 10 OFFSET 5

SELECT * FROM order_summary ORDER BY id

SELECT * FROM monthly_sales ORDER BY month

SELECT * FROM contacts ORDER BY contact_id

SELECT contact_id, name FROM contact_names ORDER BY 1

SELECT customer, sum(amount) FROM order_summary GROUP BY customer ORDER BY customer

SELECT id, title FROM documents ORDER BY id

SELECT tableoid::regclass, id, title FROM documents ORDER BY id

SELECT page, count(*) FROM visits GROUP BY page ORDER BY page

SELECT * FROM visits WHERE at >= '2024-01-01' ORDER BY id

SELECT id, label FROM homes ORDER BY id

SELECT id, topic FROM tickets ORDER BY id

SELECT room, id FROM lockers ORDER BY id

SELECT l.id, l.email FROM lab.customers l ORDER BY id

SELECT r.email FROM lab.results r

SELECT now() - interval '1 day' < now(), date '2024-03-01' - date '2024-02-01', age(date '2024-03-01', date '2020-02-29')

SELECT placed::date, extract(dow FROM placed), extract(week FROM placed), date_part('hour', placed), placed AT TIME ZONE 'Europe/Paris' FROM orders ORDER BY id

SELECT placed + interval '30 days', placed - interval '1 month', date_trunc('week', placed), to_char(placed, 'Dy DD Mon YYYY HH24:MI') FROM orders ORDER BY id

SELECT joined, joined + 7, extract(epoch FROM joined), make_date(2024, 2, 29), to_date('2024-05-06', 'YYYY-MM-DD') FROM customers ORDER BY id

SELECT lower(name), upper(name), initcap(name), length(name), substr(name, 1, 2), left(name, 1) || '.', reverse(name), replace(name, 'a', 'o'), lpad(id::text, 5, '0') FROM customers ORDER BY id

SELECT split_part(name, ' ', 2), regexp_replace(name, '\d+', '#'), position('uct' IN name), trim(BOTH ' ' FROM name), concat_ws('-', category, id), format('%s (%s)', name, category), md5(name) FROM products ORDER BY id

SELECT round(price, 1), ceil(price), floor(price), abs(-price), mod(id, 3), power(id, 2), sqrt(id), trunc(price), greatest(price, 50), least(price, 50) FROM products ORDER BY id

SELECT coalesce(comment, 'none'), nullif(status, 'new'), comment IS NULL, comment IS DISTINCT FROM 'urgent' FROM orders ORDER BY id

SELECT name FROM products WHERE name ILIKE '%uct 1%' AND price BETWEEN 5 AND 100 AND category IN ('tools', 'books') ORDER BY name

SELECT name FROM products WHERE name ~ '[12]$' OR name SIMILAR TO '%(3|4)' ORDER BY name

SELECT id FROM orders WHERE (status, customer_id) IN (('new', 1), ('paid', 2)) ORDER BY id

SELECT id FROM orders WHERE placed BETWEEN '2024-02-01' AND '2024-03-01' ORDER BY id

SELECT id FROM orders WHERE placed >= date_trunc('month', timestamptz '2024-03-15 00:00+00') ORDER BY placed DESC FETCH FIRST 3 ROWS ONLY

SELECT * FROM (VALUES (1, 'one'), (2, 'two')) AS v(n, word) ORDER BY n

VALUES (1, 'a'), (2, 'b')

TABLE metrics

SELECT 1

SELECT 1 AS one, 'two' AS two, NULL AS three, true AS four, 5.5 AS five, ARRAY[1, 2] AS six

SELECT g, g * g FROM generate_series(1, 5) g

SELECT * FROM unnest(ARRAY[1, 2, 3], ARRAY['a', 'b']) WITH ORDINALITY AS t(n, s, o)

SELECT x FROM ROWS FROM (generate_series(1, 2)) AS t(x)

SELECT * FROM json_to_recordset('[{"a": 1, "b": "x"}]') AS t(a int, b text)

SELECT * FROM regexp_split_to_table('a,b,c', ',') AS part

SELECT string_to_array('a,b,c', ','), array_to_string(ARRAY[1, 2], '/'), ARRAY[1, 2] || 3, array_length(ARRAY[1, 2], 1), (ARRAY[5, 6])[2]

SELECT to_tsvector('english', name) @@ to_tsquery('english', 'product'), similarity(name, 'product 1'), levenshtein(category, 'book') FROM products ORDER BY id

SELECT hstore('a', '1') -> 'a', 'a.b.c'::ltree @> 'a.b.c.d'::ltree, unaccent('été'), 'A'::citext = 'a'

SELECT encode('abc'::bytea, 'hex'), decode('616263', 'hex'), md5('x'), encode(sha256('x'), 'hex'), encode(digest('x', 'sha1'), 'hex')

SELECT int4range(1, 5) @> 3, daterange('2024-01-01', '2024-02-01') && daterange('2024-01-15', '2024-03-01'), lower(int4range(2, 9)), tsrange('2024-01-01', NULL)

SELECT inet '192.168.1.5' << inet '192.168.1.0/24', host(inet '10.0.0.1/8'), network(inet '10.1.2.3/8'), point(1, 2) <-> point(4, 6)

SELECT xmlelement(name a, name) FROM products ORDER BY id LIMIT 3

SELECT row(1, 'x'), row(id, name) FROM products ORDER BY id LIMIT 2

SELECT p FROM products p ORDER BY id LIMIT 2

SELECT row_to_json(p) FROM products p ORDER BY id LIMIT 2

SELECT to_jsonb(p) - 'tags' FROM products p ORDER BY id LIMIT 2

SELECT count(DISTINCT customer_id), count(comment), bool_and(total > 0), every(id > 0) FROM orders

SELECT id FROM products ORDER BY price DESC NULLS LAST, name COLLATE "C" LIMIT 3

SELECT (SELECT max(total) FROM orders) - (SELECT min(total) FROM orders) AS spread

SELECT name, email IS NOT DISTINCT FROM NULL AS missing FROM lab.customers

SELECT current_date = now()::date, current_user = user, version() LIKE 'PostgreSQL%'

SELECT o.status, m.label FROM orders o JOIN (VALUES ('new', 'New'), ('paid', 'Paid')) m(status, label) USING (status) ORDER BY o.id

SELECT * FROM orders NATURAL JOIN (SELECT 1 AS id) q

SELECT c.city, o.status, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.city, o.status ORDER BY 1, 2

-- masks: 2, 3
SELECT id, length(email), email LIKE '%@%' FROM customers ORDER BY id

-- masks: 2
SELECT city, count(DISTINCT email) > 0 AND max(email) > '' FROM customers GROUP BY city ORDER BY city

SELECT id, name FROM customers WHERE email LIKE '%@mail-one%' ORDER BY id

SELECT city, count(*) FROM customers WHERE income > 2000000 GROUP BY city ORDER BY city

SELECT s.id, s.name, s.salary, s.office FROM staff s ORDER BY s.salary DESC

SELECT office, avg(salary), count(*) FROM staff GROUP BY office ORDER BY office

EXPLAIN (COSTS off) SELECT * FROM products WHERE id = 3

EXPLAIN (FORMAT JSON, COSTS off) SELECT p.name FROM products p JOIN items i ON i.product_id = p.id

EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT count(*) FROM metrics

SELECT date_bin('15 minutes', at, timestamptz '2024-01-01 00:00+00'), avg(value) FROM metrics GROUP BY 1 ORDER BY 1

SELECT name, first_value(value) OVER w, last_value(value) OVER w, nth_value(value, 2) OVER w, ntile(4) OVER w, cume_dist() OVER w, percent_rank() OVER w, dense_rank() OVER w FROM metrics WINDOW w AS (PARTITION BY name ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) ORDER BY name, at

SELECT sum(total) FILTER (WHERE status = 'paid') OVER (PARTITION BY customer_id ORDER BY id) FROM orders ORDER BY id

SELECT a.id, b.id FROM products a JOIN products b ON a.id = b.id - 1 AND a.category <> b.category ORDER BY 1

SELECT id, name FROM products p WHERE price = (SELECT max(price) FROM products WHERE category = p.category) ORDER BY id

SELECT COUNT(*) AS "Number of orders", "orders"."status" AS "Status" FROM "public"."orders" AS "orders" GROUP BY "orders"."status" ORDER BY 2

select p.name as "Product (name)", sum(i.quantity) "Total – pieces" from products p, items i where p.id=i.product_id group by p.name order by 1 limit 5

SELECT id, CAST(total AS integer), total::text, CAST(placed AS date), (total * 100)::bigint, '5'::int + 1, 'on'::boolean FROM orders ORDER BY id

SELECT id, lab.customers.name FROM lab.customers

SELECT x.* FROM (SELECT id, name FROM customers) x WHERE x.id > 1 ORDER BY 1

SELECT sum(n) FROM (SELECT count(*) AS n FROM orders UNION ALL SELECT count(*) FROM items) q

(SELECT id FROM products ORDER BY id LIMIT 2) UNION ALL (SELECT id FROM orders ORDER BY id DESC LIMIT 2)
