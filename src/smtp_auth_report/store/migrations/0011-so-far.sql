-- The day that is not over may be summed up so far. A version that does not know of it would leave these sums where a row voids them.
DELETE FROM meta WHERE name = 'so_far';
