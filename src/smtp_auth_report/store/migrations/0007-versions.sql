-- Which version of its server a log was written by, as far as its lines tell.

ALTER TABLE progress ADD COLUMN version VARCHAR DEFAULT '';
