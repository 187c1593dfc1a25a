"""A market of invented companies and notices in KONEPS's shape, whose true bid probabilities are known.

Writes a folder of dumps that the `koneps` source reads as if it were real, and `oracle/`, from which the best possible
ranking follows (oracle.py). Everything is drawn from one seed; same arguments, same bytes.

The process. Company c bids on notice n, independently of all others, with probability

    P(n, c) = 1 - exp(-lambda(n, c))

    lambda(n, c) = m_n * E(n, c) * V(n, c) * sum over channels k of  w_k * sum over rows r of c in group g_k(n),
                                                                     active at t_n, of  a_r / (A_g + SLACK)

    m_n      keenness: log-normal, some notices draw a handful and some hundreds; near 0 for the 6 % that fail and
             are published again (re-notices, bidntceord > '000')
    t_n      publication. A row is active from its begin to its end: companies are born, vanish, and a third of them
             drift once, to other topics, to another district, or both
    E(n, c)  1 if c is registered inside n's region limit, or n has none; else 0. (Licence limits hold by construction:
             a company has rows only for topics and licences it holds.)
    V(n, c)  exp(-((value_n - capacity_c) / SIZE_TOLERANCE)^2 / 2), both in log10 KRW
    k        local      w .22  who works on n's topic in n's district
             province   w .16  ... in n's province
             nation     w .20  ... anywhere
             favourite  w .22  who works on the topic and has n's institution as a favourite
             licence    w .20  who holds the topic's licence
    a_r      the company's activity (log-normal) times the topic's share of it; A_g is the sum over the group's rows,
             whether active or not; SLACK keeps a lone company from answering everything

Sampling draws Poisson numbers of approaches from the groups and thins them, which gives exactly these probabilities
without ever forming notices x companies (oracle.py).

    market.py       words, places, institutions, calendar    entities.py  companies and notices
    raw_tables.py   what the raw tables say                  oracle.py    channels, bids, true scores
    simulate.py     blocks, files, manifest
"""

from bidrec.simulator.simulate import DEFAULT_DAYS, DEFAULT_END, require_possible, simulate

__all__ = ["DEFAULT_DAYS", "DEFAULT_END", "require_possible", "simulate"]
