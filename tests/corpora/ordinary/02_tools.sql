-- What BI tools and ORMs generate.
SELECT "public"."orders"."status" AS "status", COUNT(*) AS "count" FROM "public"."orders" GROUP BY "public"."orders"."status" ORDER BY "public"."orders"."status" ASC

SELECT "source"."placed" AS "placed", SUM("source"."total") AS "sum" FROM (SELECT "public"."orders"."id" AS "id", "public"."orders"."total" AS "total", CAST(DATE_TRUNC('month', "public"."orders"."placed") AS DATE) AS "placed" FROM "public"."orders") "source" GROUP BY "source"."placed" ORDER BY "source"."placed" ASC LIMIT 2000

SELECT "public"."customers"."id" AS "id", "public"."customers"."name" AS "name", "public"."customers"."email" AS "email", "public"."customers"."city" AS "city" FROM "public"."customers" ORDER BY 1 LIMIT 2000

SELECT "Customers"."city" AS "Customers__city", COUNT(*) AS "count" FROM "public"."orders" LEFT JOIN "public"."customers" AS "Customers" ON "public"."orders"."customer_id" = "Customers"."id" WHERE "public"."orders"."status" = 'paid' GROUP BY "Customers"."city" ORDER BY "count" DESC, "Customers"."city" ASC

SELECT CAST(EXTRACT(dow FROM "public"."orders"."placed") AS integer) AS "placed", COUNT(*) AS "count" FROM "public"."orders" GROUP BY CAST(EXTRACT(dow FROM "public"."orders"."placed") AS integer) ORDER BY CAST(EXTRACT(dow FROM "public"."orders"."placed") AS integer) ASC

SELECT ((FLOOR((("public"."orders"."total" - 0.0) / 100.0)) * 100.0) + 0.0) AS "total", COUNT(*) AS "count" FROM "public"."orders" GROUP BY ((FLOOR((("public"."orders"."total" - 0.0) / 100.0)) * 100.0) + 0.0) ORDER BY 1 ASC

SELECT "orders"."status" AS "status", SUM("orders"."total") AS "sum:total:ok", DATE_TRUNC( 'MONTH', CAST("orders"."placed" AS TIMESTAMP) ) AS "tmn:placed:ok" FROM "public"."orders" "orders" INNER JOIN "public"."customers" "customers" ON ("orders"."customer_id" = "customers"."id") GROUP BY 1, 3 ORDER BY 1, 3

SELECT (CASE WHEN ("orders"."total" > 100) THEN 'High' WHEN NOT ("orders"."total" > 100) THEN 'Low' ELSE NULL END) AS "Calculation_1", COUNT(DISTINCT "orders"."customer_id") AS "ctd:customer_id:ok" FROM "public"."orders" "orders" GROUP BY 1 ORDER BY 1

SELECT "t0"."name" AS "name", "t0"."x_measure__0" AS "x" FROM ( SELECT "customers"."name" AS "name", MIN("orders"."placed") AS "x_measure__0" FROM "public"."customers" "customers" LEFT JOIN "public"."orders" "orders" ON ("customers"."id" = "orders"."customer_id") GROUP BY 1 ) "t0" ORDER BY 1

SELECT DATE_TRUNC('day', placed) AS __timestamp, status AS status, sum(total) AS "SUM(total)" FROM public.orders WHERE placed >= TO_TIMESTAMP('2024-01-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND placed < TO_TIMESTAMP('2024-04-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', placed), status ORDER BY __timestamp, status LIMIT 10000

SELECT category AS category, COUNT(*) AS count FROM (SELECT * FROM products WHERE price > 10) AS virtual_table GROUP BY category ORDER BY count DESC, category LIMIT 100

SELECT name AS name, max("x") AS mx FROM (SELECT category AS name, price AS "x" FROM public.products) AS virtual_table JOIN (SELECT name AS name__, max(x) AS mme_inner__ FROM (SELECT category AS name, price AS x FROM public.products) AS virtual_table GROUP BY name ORDER BY mme_inner__ DESC LIMIT 2) AS series_limit ON name = name__ GROUP BY name ORDER BY mx DESC

SELECT TO_CHAR(DATE_TRUNC('month', orders.placed ), 'YYYY-MM') AS "orders.placed_month", COUNT(DISTINCT orders.id ) AS "orders.count", COALESCE(SUM(orders.total ), 0) AS "orders.total_revenue" FROM public.orders AS orders LEFT JOIN public.customers AS customers ON orders.customer_id = customers.id GROUP BY (DATE_TRUNC('month', orders.placed )) ORDER BY 1 DESC LIMIT 500

WITH orders_facts AS (SELECT customer_id, COUNT(*) AS lifetime_orders, MIN(placed) AS first_order FROM public.orders GROUP BY 1) SELECT customers.city AS "customers.city", AVG(orders_facts.lifetime_orders) AS "avg" FROM public.customers AS customers LEFT JOIN orders_facts ON customers.id = orders_facts.customer_id GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 500

SELECT customers.id, customers.name, customers.city, customers.email, customers.phone FROM customers WHERE customers.id = 1

SELECT orders.id AS orders_id, orders.customer_id AS orders_customer_id, orders.total AS orders_total, customers_1.id AS customers_1_id, customers_1.name AS customers_1_name, customers_1.email AS customers_1_email FROM orders LEFT OUTER JOIN customers AS customers_1 ON customers_1.id = orders.customer_id ORDER BY orders.id LIMIT 10

SELECT anon_1.orders_id, anon_1.orders_status, items_1.order_id, items_1.line, items_1.quantity FROM (SELECT orders.id AS orders_id, orders.status AS orders_status FROM orders ORDER BY orders.id LIMIT 3 OFFSET 1) AS anon_1 LEFT OUTER JOIN items AS items_1 ON anon_1.orders_id = items_1.order_id ORDER BY anon_1.orders_id, items_1.line

SELECT items.order_id AS items_order_id, items.line AS items_line FROM items WHERE items.order_id IN (1, 2, 3) ORDER BY 1, 2

SELECT EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = 1) AS anon_1

SELECT count(*) AS count_1 FROM (SELECT customers.id AS customers_id FROM customers WHERE customers.active IS true) AS anon_1

SELECT count(orders.id) AS count_1, customers.name FROM customers JOIN orders ON customers.id = orders.customer_id GROUP BY customers.name HAVING count(orders.id) > 5 ORDER BY customers.name

WITH RECURSIVE anon_1(id, boss) AS (SELECT staff.id AS id, staff.boss AS boss FROM staff WHERE staff.id = 3 UNION ALL SELECT staff.id AS id, staff.boss AS boss FROM staff, anon_1 WHERE staff.id = anon_1.boss) SELECT anon_1.id, anon_1.boss FROM anon_1 ORDER BY 1

SELECT row_number() OVER (PARTITION BY orders.customer_id ORDER BY orders.placed DESC) AS rn, orders.id FROM orders ORDER BY orders.id

SELECT "customers"."id", "customers"."name", "customers"."city", "customers"."joined", "customers"."active", "customers"."email", "customers"."note" FROM "customers" WHERE "customers"."active" ORDER BY "customers"."name" ASC LIMIT 21

SELECT "orders"."id", "orders"."status", "customers"."id", "customers"."name" FROM "orders" INNER JOIN "customers" ON ("orders"."customer_id" = "customers"."id") WHERE ("customers"."city" = 'Lyon' AND NOT ("orders"."status" = 'void')) ORDER BY "orders"."placed" DESC LIMIT 10

SELECT "customers"."city", COUNT("orders"."id") AS "n" FROM "customers" LEFT OUTER JOIN "orders" ON ("customers"."id" = "orders"."customer_id") GROUP BY "customers"."city" ORDER BY "n" DESC, "customers"."city"

SELECT COUNT(*) AS "__count" FROM "orders" WHERE "orders"."placed" >= '2024-02-01T00:00:00+00:00'::timestamptz

SELECT (1) AS "a" FROM "customers" WHERE "customers"."name" = 'Anna' LIMIT 1

SELECT DISTINCT (EXTRACT(YEAR FROM "orders"."placed" AT TIME ZONE 'UTC'))::int AS "year" FROM "orders" ORDER BY 1 ASC

SELECT "products"."id", (("products"."attributes" ->> 'colour')) AS "colour" FROM "products" WHERE ("products"."attributes" -> 'colour') = '"red"'::jsonb ORDER BY "products"."id" ASC

SELECT "products"."id", CASE WHEN "products"."price" > 100 THEN 'dear' ELSE 'cheap' END AS "tag", COALESCE("products"."category", '') AS "c" FROM "products" WHERE UPPER("products"."name"::text) LIKE UPPER('%1%') ORDER BY "products"."id" ASC

SELECT "orders"."id", EXISTS(SELECT 1 AS "a" FROM "items" U0 WHERE (U0."order_id" = ("orders"."id") AND U0."quantity" > 3) LIMIT 1) AS "bulky" FROM "orders" ORDER BY 1

SELECT "orders"."id", (SELECT SUM(U0."quantity") AS "q" FROM "items" U0 WHERE U0."order_id" = ("orders"."id") GROUP BY U0."order_id") AS "pieces" FROM "orders" ORDER BY 1

SELECT "orders"."customer_id", AVG("orders"."total") OVER (PARTITION BY "orders"."customer_id") AS "w" FROM "orders" ORDER BY "orders"."id"

select customer0_.id as id1_0_, customer0_.name as name2_0_, customer0_.email as email3_0_ from customers customer0_ where customer0_.id=1

select o1_0.id,o1_0.status,o1_0.total,c1_0.id,c1_0.name from orders o1_0 join customers c1_0 on c1_0.id=o1_0.customer_id where o1_0.status='sent' order by o1_0.id fetch first 5 rows only

-- masks: 18
SELECT "customers".* FROM "customers" WHERE "customers"."id" = 2 LIMIT 1

SELECT "orders".* FROM "orders" WHERE "orders"."customer_id" IN (1, 2) ORDER BY "orders"."id" ASC

SELECT 1 AS one FROM "customers" WHERE "customers"."name" = 'Bert' LIMIT 1

SELECT c."id", c."name", (SELECT COUNT(*)::INT FROM "orders" AS o WHERE c."id" = o."customer_id") AS "Count" FROM "customers" AS c ORDER BY c."id"

SELECT t."id", t."name", t0."id", t0."total" FROM (SELECT c."id", c."name" FROM "customers" AS c ORDER BY c."id" LIMIT 2) AS t LEFT JOIN "orders" AS t0 ON t."id" = t0."customer_id" ORDER BY t."id", t0."id"

SELECT COALESCE("aggr"."agg_value", '[]'::json) FROM (SELECT json_agg("t") AS agg_value FROM (SELECT "id", "name" FROM "products" ORDER BY "id" LIMIT 2) t) aggr

SELECT jsonb_build_object('id', o.id, 'items', (SELECT coalesce(jsonb_agg(jsonb_build_object('line', i.line, 'n', i.quantity) ORDER BY i.line), '[]'::jsonb) FROM items i WHERE i.order_id = o.id)) FROM orders o ORDER BY o.id LIMIT 3

SELECT * FROM products WHERE (id, name) > (5, 'product 5') ORDER BY id, name LIMIT 5

SELECT * FROM orders WHERE id = ANY ('{1,2,3}'::int[]) ORDER BY id

SELECT * FROM (SELECT *, count(*) OVER () AS full_count FROM products) q WHERE category = 'toys' ORDER BY id LIMIT 2

SELECT a.name, b.cnt FROM products a INNER JOIN (SELECT product_id, COUNT(*) cnt FROM items GROUP BY product_id) b ON b.product_id = a.id ORDER BY a.id

SELECT to_char(date_trunc('quarter', placed), 'YYYY-"Q"Q') AS q, sum(total)::float8 FROM orders GROUP BY 1 ORDER BY 1

SELECT q.* FROM (SELECT id, name, NULL::text AS extra FROM products) AS q WHERE 1 = 0

SELECT * FROM products WHERE 1 = 1 AND category = 'tools' LIMIT 0

SELECT id AS "ID", name AS "Name" FROM products WHERE true ORDER BY "Name" OFFSET 0 ROWS FETCH NEXT 5 ROWS ONLY

SELECT MIN(placed) AS min, MAX(placed) AS max, COUNT(placed) AS n, COUNT(DISTINCT DATE(placed)) AS days FROM orders

SELECT count(*) AS total, sum(CASE WHEN comment IS NULL THEN 1 ELSE 0 END) AS nulls, min(length(comment)) AS shortest FROM orders

SELECT status, total FROM orders TABLESAMPLE SYSTEM (100) ORDER BY id LIMIT 5

/* ApplicationName=DBeaver 23.2.0 - Main */ SELECT * FROM public.products ORDER BY id LIMIT 200

-- comment above
/* Metabase:: userID: 1 queryType: native */ SELECT count(*) FROM orders
