"""Label sets and queries as people have them: tables in the formats of spreadsheets, programs and thesauri.

`open_table.read_table` reads any of them into one `Table`; `roles` says which column is what; `labels` and `queries`
make a `LabelSet` and `Query`s of it; `report` says what was understood.
"""
