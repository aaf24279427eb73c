CREATE TABLE customers (
    id          bigint AUTO_INCREMENT PRIMARY KEY,
    full_name   varchar(80) NOT NULL,
    email       varchar(120) NOT NULL UNIQUE,
    phone       varchar(20),
    birth_date  date,
    tax_number  varchar(11) NOT NULL UNIQUE COMMENT 'national tax number',
    card_number char(16),
    city        varchar(40) NOT NULL,
    balance     decimal(12, 2) NOT NULL DEFAULT 0,
    vip         boolean NOT NULL DEFAULT false,
    preferences json NOT NULL DEFAULT '{}',
    created_at  datetime NOT NULL DEFAULT current_timestamp
) COMMENT 'people who buy; holds personal data';

CREATE TABLE products (
    id       int AUTO_INCREMENT PRIMARY KEY,
    sku      varchar(20) NOT NULL UNIQUE,
    name     varchar(80) NOT NULL,
    category varchar(20) NOT NULL,
    price    decimal(10, 2) NOT NULL CHECK (price > 0),
    stock    int NOT NULL DEFAULT 0,
    tags     json NOT NULL DEFAULT '[]'
);

CREATE TABLE orders (
    id          bigint NOT NULL,
    customer_id bigint NOT NULL,
    placed_at   datetime NOT NULL,
    status      enum('placed', 'paid', 'shipped', 'delivered', 'returned') NOT NULL DEFAULT 'placed',
    total       decimal(12, 2) NOT NULL,
    ship_to     text,
    PRIMARY KEY (id, placed_at),
    KEY orders_by_customer (customer_id)
) PARTITION BY RANGE COLUMNS (placed_at) (
    PARTITION orders_2024 VALUES LESS THAN ('2025-01-01'),
    PARTITION orders_2025 VALUES LESS THAN ('2026-01-01'),
    PARTITION orders_later VALUES LESS THAN (MAXVALUE)
);

CREATE TABLE order_items (
    order_id   bigint NOT NULL,
    line       smallint NOT NULL,
    product_id int NOT NULL,
    quantity   int NOT NULL CHECK (quantity > 0),
    unit_price decimal(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line),
    FOREIGN KEY (product_id) REFERENCES products (id)
);

CREATE TABLE staff (
    id         char(36) PRIMARY KEY,
    name       varchar(80) NOT NULL,
    job        varchar(20) NOT NULL,
    home_email varchar(120),
    salary     decimal(10, 2),
    hired_on   date NOT NULL
);
CREATE TABLE contractors (
    id         char(36) PRIMARY KEY,
    name       varchar(80) NOT NULL,
    job        varchar(20) NOT NULL,
    home_email varchar(120),
    salary     decimal(10, 2),
    hired_on   date NOT NULL,
    agency     varchar(40) NOT NULL
);

CREATE VIEW customer_contacts AS
    SELECT id, full_name AS name, email AS contact, phone FROM customers;

CREATE VIEW order_overview AS
    SELECT o.id, c.full_name AS customer, c.email, o.placed_at, o.status, o.total
    FROM orders o JOIN customers c ON c.id = o.customer_id;

CREATE VIEW top_customers AS
    SELECT c.id, c.full_name, c.email, sum(o.total) AS spent
    FROM customers c JOIN orders o ON o.customer_id = c.id
    GROUP BY c.id, c.full_name, c.email
    ORDER BY spent DESC, c.id
    LIMIT 20;

CREATE FUNCTION customer_email(customer bigint) RETURNS varchar(120)
    READS SQL DATA
    RETURN (SELECT email FROM customers WHERE id = customer);
