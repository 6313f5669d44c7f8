"""Who is calling, and who answers.

``directory`` holds what routing has to know in memory, ``sources`` says whose request it is, ``decide`` who answers,
``registrar`` where the phones are. None of them waits for the database: ``loader`` fills the directory behind them.
"""
