-- A wholesaler's orders: tables and questions of the kind of TPC-D's, with rows of our own. Dates are days since the
-- first, money is in cents. mix(K, SALT, N) is a fixed random number below N.
CREATE TABLE region (regionkey INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE nation (nationkey INTEGER PRIMARY KEY, name TEXT, regionkey INTEGER);
CREATE TABLE supplier (suppkey INTEGER PRIMARY KEY, name TEXT, nationkey INTEGER, balance INTEGER);
CREATE TABLE customer (custkey INTEGER PRIMARY KEY, name TEXT, nationkey INTEGER, segment TEXT, balance INTEGER);
CREATE TABLE part (partkey INTEGER PRIMARY KEY, name TEXT, brand TEXT, type TEXT, size INTEGER, price INTEGER);
CREATE TABLE orders (orderkey INTEGER PRIMARY KEY, custkey INTEGER, orderdate INTEGER, priority TEXT, comment TEXT);
CREATE TABLE lineitem (orderkey INTEGER, linenumber INTEGER, partkey INTEGER, suppkey INTEGER, quantity INTEGER,
	price INTEGER, discount INTEGER, tax INTEGER, returnflag TEXT, linestatus TEXT, shipdate INTEGER,
	commitdate INTEGER, receiptdate INTEGER, shipmode TEXT, comment TEXT);

BEGIN;
CREATE TEMP TABLE words (number INTEGER PRIMARY KEY, word TEXT);
INSERT INTO words WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM r WHERE k < 15)
	SELECT k, substr(' and what there is to say of it nobody reads but who packs it, who carries it, who counts it, and who'
		|| ' writes down that it was packed, carried and counted before it went on its way', 1, 100 + 5 * k) FROM r;
INSERT INTO region WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM r WHERE k < 4)
	SELECT k, 'region ' || k FROM r;
INSERT INTO nation WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM r WHERE k < 24)
	SELECT k, 'nation ' || k, k % 5 FROM r;
INSERT INTO supplier WITH RECURSIVE r(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM r WHERE k < 250)
	SELECT k, 'supplier ' || k, mix(k, 1, 25), mix(k, 2, 1000000) - 100000 FROM r;
INSERT INTO customer WITH RECURSIVE r(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM r WHERE k < 3750)
	SELECT k, 'customer ' || k, mix(k, 3, 25), 'segment ' || mix(k, 4, 5), mix(k, 5, 1000000) - 100000 FROM r;
INSERT INTO part WITH RECURSIVE r(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM r WHERE k < 5000)
	SELECT k, 'part ' || k || ' of some colour', 'brand ' || mix(k, 6, 25), 'type ' || mix(k, 7, 150),
		1 + mix(k, 8, 50), 90000 + mix(k, 9, 100000) FROM r;
INSERT INTO orders WITH RECURSIVE r(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM r WHERE k < 25000)
	SELECT k, 1 + mix(k, 10, 3750), mix(k, 11, 2400), 'priority ' || mix(k, 12, 5),
		'order ' || k || ' is to be packed with care number ' || mix(k, 13, 1000000) FROM r;
INSERT INTO lineitem WITH RECURSIVE r(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM r WHERE k < 99999)
	SELECT o.orderkey, k % 4, 1 + mix(k, 14, 5000), 1 + mix(k, 15, 250), 1 + mix(k, 16, 50),
		90000 + mix(k, 17, 9000000), mix(k, 18, 11), mix(k, 19, 9),
		CASE WHEN o.orderdate > 1200 THEN 'N' ELSE substr('AR', 1 + mix(k, 20, 2), 1) END,
		substr('OF', 1 + (o.orderdate < 1250), 1), o.orderdate + 1 + mix(k, 21, 120), o.orderdate + 30 + mix(k, 22, 60),
		o.orderdate + 10 + mix(k, 23, 140), 'mode ' || mix(k, 24, 7), 'line ' || k || ' goes with ' || mix(k, 25, 1000000) || (SELECT word FROM words WHERE k % 16 = number)
	FROM r JOIN orders o ON o.orderkey = 1 + k / 4;
CREATE INDEX lineitem_order ON lineitem (orderkey);
CREATE INDEX orders_customer ON orders (custkey);
COMMIT;
