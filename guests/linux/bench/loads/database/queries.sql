-- The first two are the warm-up, and are asked again.
-- Revenue that smaller discounts would have brought.
SELECT sum(price * discount) FROM lineitem
	WHERE shipdate >= 400 AND shipdate < 765 AND discount BETWEEN 5 AND 7 AND quantity < 24;
-- What became of each customer's orders.
SELECT orders, count(*) FROM (SELECT c.custkey, count(o.orderkey) AS orders FROM customer c
	LEFT JOIN orders o ON o.custkey = c.custkey AND o.comment NOT LIKE '%care%99%' GROUP BY c.custkey)
	GROUP BY orders ORDER BY 2 DESC, 1 DESC;
-- Prices of all that was shipped.
SELECT returnflag, linestatus, sum(quantity), sum(price), sum(price * (100 - discount)),
	sum(price * (100 - discount) * (100 + tax)), avg(quantity), avg(price), avg(discount), count(*)
	FROM lineitem WHERE shipdate <= 2300 GROUP BY returnflag, linestatus ORDER BY returnflag, linestatus;
-- Unshipped orders of the highest value.
SELECT l.orderkey, sum(l.price * (100 - l.discount)) AS revenue, o.orderdate
	FROM customer c JOIN orders o ON o.custkey = c.custkey JOIN lineitem l ON l.orderkey = o.orderkey
	WHERE c.segment = 'segment 2' AND o.orderdate < 1170 AND l.shipdate > 1170
	GROUP BY l.orderkey, o.orderdate ORDER BY revenue DESC, o.orderdate LIMIT 10;
-- Orders with a line that came late, by priority.
SELECT priority, count(*) FROM orders o WHERE orderdate >= 900 AND orderdate < 1300
	AND EXISTS (SELECT 1 FROM lineitem l WHERE l.orderkey = o.orderkey AND l.commitdate < l.receiptdate)
	GROUP BY priority ORDER BY priority;
-- Revenue by nation where customer and supplier are in the same.
SELECT n.name, sum(l.price * (100 - l.discount)) AS revenue FROM orders o
	JOIN customer c ON c.custkey = o.custkey JOIN lineitem l ON l.orderkey = o.orderkey
	JOIN supplier s ON s.suppkey = l.suppkey AND s.nationkey = c.nationkey JOIN nation n ON n.nationkey = s.nationkey
	JOIN region r ON r.regionkey = n.regionkey
	WHERE r.name = 'region 2' AND o.orderdate >= 700 AND o.orderdate < 1430 GROUP BY n.name ORDER BY revenue DESC;
-- Customers who returned the most.
SELECT c.custkey, c.name, sum(l.price * (100 - l.discount)) AS revenue, c.balance, n.name
	FROM customer c JOIN orders o ON o.custkey = c.custkey JOIN lineitem l ON l.orderkey = o.orderkey
	JOIN nation n ON n.nationkey = c.nationkey
	WHERE o.orderdate >= 600 AND o.orderdate < 690 AND l.returnflag = 'R'
	GROUP BY c.custkey ORDER BY revenue DESC, c.custkey LIMIT 20;
-- The share of two types of parts in a month.
SELECT 100.0 * sum(CASE WHEN p.type LIKE 'type 1%' THEN l.price * (100 - l.discount) ELSE 0 END)
	/ sum(l.price * (100 - l.discount)) FROM lineitem l JOIN part p ON p.partkey = l.partkey
	WHERE l.shipdate >= 800 AND l.shipdate < 1200;
-- Quantities of the largest orders.
SELECT o.orderkey, o.orderdate, sum(l.quantity) FROM lineitem l JOIN orders o ON o.orderkey = l.orderkey
	WHERE o.orderkey IN (SELECT orderkey FROM lineitem GROUP BY orderkey HAVING sum(quantity) > 165)
	GROUP BY o.orderkey ORDER BY 3 DESC, 1 LIMIT 50;
