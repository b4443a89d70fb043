"""The sentences whose embeddings are bought: twelve subjects, each said in three ways.

A batch has one sentence on each subject, so that the nearest neighbours of a sentence come from
other jobs, run by other providers.
"""

BATCHES = (
    (
        "The river turns the wheel of the old mill.",
        "She paid for the tickets with her credit card.",
        "A cat is asleep on the warm windowsill.",
        "The surgeon operated on his knee this morning.",
        "Heavy snow closed the mountain pass overnight.",
        "The orchestra rehearsed the symphony twice.",
        "He planted tomatoes and beans behind the house.",
        "The train to the coast left ten minutes late.",
        "Parliament passed the new tax law by one vote.",
        "The striker scored in the last minute of the match.",
        "Astronomers found a planet around a distant star.",
        "My laptop needs a new battery and more memory.",
    ),
    (
        "Water from the stream drives the millstone.",
        "The customer settled the bill with a bank card.",
        "The kitten sleeps in the sun beside the window.",
        "Doctors repaired the damaged joint in his leg.",
        "The road over the pass is blocked by snow.",
        "Musicians practised the concert piece again.",
        "There are vegetables growing in the back garden.",
        "Passengers waited because the railway was delayed.",
        "Lawmakers narrowly approved a change to taxes.",
        "A late goal decided the football game.",
        "A new world was discovered far outside our solar system.",
        "The computer is slow and its battery runs empty.",
    ),
    (
        "An old watermill grinds grain beside the brook.",
        "You can pay for the order by card.",
        "Our cat loves to nap where the sun comes in.",
        "After the knee operation he could walk again.",
        "A snowstorm made the mountain road impassable.",
        "The conductor led the orchestra through the symphony.",
        "We harvest beans and tomatoes from our own garden.",
        "The train arrived at the station behind schedule.",
        "The government's tax bill was accepted by the assembly.",
        "The team won the match with a goal at the very end.",
        "The telescope has shown an unknown planet near another sun.",
        "I want to upgrade the memory of my notebook computer.",
    ),
)
