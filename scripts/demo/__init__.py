"""The whole story on a local chain: work bought, done, lied about, caught, punished and paid.

`python -m scripts.demo` plays it with real contracts and a process per daemon, checks every
expectation and writes `build/demo.json`. `stage` is the chain and the processes, `cast` who plays,
`playbill` how they are engaged, `acts` the jobs, `record` what the chain says of them, `verdict`
the expectations, `tables` what is shown.
"""
