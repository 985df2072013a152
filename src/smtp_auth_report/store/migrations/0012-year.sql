-- Sums of 48 weeks, of which a year holds one, and their digests.

CREATE TABLE sums_336 AS FROM sums_1 LIMIT 0;

CREATE TABLE client_sums_336 AS FROM client_sums_7 LIMIT 0;

CREATE TABLE manner_sums_336 AS FROM manner_sums_1 LIMIT 0;

CREATE TABLE domain_sums_336 AS FROM domain_sums_1 LIMIT 0;
