// SPDX-License-Identifier: BSD-3-Clause

package dht

import "time"

// Times of this implementation; those of the layer are in Config.
const (
	// patience is how long a request may take before another member is
	// asked too. A layer of many hops answers within it; an answer that
	// comes later still counts.
	patience = 300 * time.Millisecond
	// tries is how often a member is asked in one look-up. With 5 % loss
	// each way one in a thousand members seems silent.
	tries = 3
	// requestLife is how long an answer counts.
	requestLife = 3 * time.Second
	// lookupLife bounds a look-up of a name: nobody waits longer (spec 20 §10.7).
	lookupLife = 2 * time.Second
	// searchLife bounds a look-up for places to store.
	searchLife = 6 * time.Second

	// checkAgain is the time after a silent request until the next.
	checkAgain = time.Second
	// maxFailed is after how many silent requests a contact is evicted.
	maxFailed = 3

	// cacheLife is how long an answer is used again. Short: nobody tells us when
	// a name moves (DHT-9).
	cacheLife = 10 * time.Second
	// wrongLife is how long a value that proved wrong comes last.
	wrongLife = time.Minute
	// goneLife is how long an address that routing lost is not used, unless
	// routing finds it again before: in large layers it does not say so.
	goneLife = time.Minute

	// joinFirst and joinMost are the times between requests to members that
	// do not answer yet, while nobody else is known; they double. Before
	// routes exist the messages do not leave this node.
	joinFirst = 100 * time.Millisecond
	joinMost  = time.Second
	// seedMost is the same when others are known.
	seedMost = time.Minute

	// revisitEvery is the least time between requests to evicted contacts,
	// revisitEach that to the same one, and missedLife how long they are
	// remembered: the time a partition may last until its halves must find
	// each other by other means.
	revisitEvery = 5 * time.Second
	revisitEach  = time.Minute
	missedLife   = time.Hour

	// settleAfter is the time from a new contact until the own neighbourhood
	// is searched again, so that many make one search.
	settleAfter = time.Second
	// settleEvery is the least time between two of these searches.
	settleEvery = 10 * time.Second
	// handOverAfter is the same for values that a new contact should hold.
	handOverAfter = 200 * time.Millisecond
	// secondStore is the time until a new name is published again: a STORE
	// is not acknowledged and may be lost.
	secondStore = 2 * time.Second
	// forwardAfter is the time until a value that others should hold is
	// brought to them; some jitter is added.
	forwardAfter = time.Second
)

// Limits on what others can make us keep and do.
const (
	maxRequests     = 4096  // outstanding
	maxLookups      = 1024  // of names, at the same time
	maxCandidates   = 128   // of one look-up
	maxProbes       = 64    // requests to see whether a contact is alive, outstanding
	maxSeeds        = 256   // members known from routing
	maxMissed       = 64    // evicted contacts that are asked again
	maxGone         = 1024  // addresses that routing lost
	maxCache        = 1024  // answers
	maxWrong        = 1024  // values that proved wrong
	maxHeld         = 65536 // values of others
	maxPerSender    = 8192  // of them that one member stored
	maxPerKey       = 16    // of them with one key
	maxPublications = 8     // at the same time
	maxWork         = 4096  // publications of held values that wait
	maxForwards     = 16    // misplaced values that are brought to others, per second
	maxHandOver     = 4096  // keys that are looked at at a time for new contacts

	// maxAnswer is the size of a response, in bytes: with k = 20 and long
	// hashes not all contacts fit the frames of an Ethernet below.
	maxAnswer = 1300
	// maxAnswerValues is what C nodes expect at most.
	maxAnswerValues = 8
)
