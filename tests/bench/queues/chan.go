// SPDX-License-Identifier: Apache-2.0

// Go's channel between goroutines, asked for and answering as ../queue_run.h says. It has no batches.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const name = "Go-chan"

type party struct {
	count, sum uint64
	_          [6]uint64 // a cache line of its own
}

func produce(p *party, items chan uint64, batch int, start *sync.WaitGroup, stop *uint32) {
	start.Wait()
	for atomic.LoadUint32(stop) == 0 {
		for i := 0; i < batch; i++ {
			p.count++
			p.sum += p.count
			items <- p.count
		}
	}
}

func consume(p *party, items chan uint64, start *sync.WaitGroup) {
	start.Wait()
	for item := range items {
		p.count++
		p.sum += item
	}
}

func totals(parties []party) (count, sum, least, most uint64) {
	least = ^uint64(0)
	for i := range parties {
		n := parties[i].count
		count += n
		sum += parties[i].sum
		if n < least {
			least = n
		}
		if n > most {
			most = n
		}
	}
	return
}

func run(producerCount, consumerCount, batch, bound, ms int) {
	items := make(chan uint64, bound)
	producers, consumers := make([]party, producerCount), make([]party, consumerCount)
	var start, produced, consumed sync.WaitGroup
	var stop uint32
	start.Add(1)
	for i := range consumers {
		consumed.Add(1)
		go func(i int) { consume(&consumers[i], items, &start); consumed.Done() }(i)
	}
	for i := range producers {
		produced.Add(1)
		go func(i int) { produce(&producers[i], items, batch, &start, &stop); produced.Done() }(i)
	}
	began := time.Now()
	start.Done()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	atomic.StoreUint32(&stop, 1)
	produced.Wait()
	close(items)
	consumed.Wait()
	ns := float64(time.Since(began).Nanoseconds())
	put, putSum, least, most := totals(producers)
	got, gotSum, _, _ := totals(consumers)
	if put != got || putSum != gotSum {
		panic("what came out is not what went in")
	}
	fmt.Printf("%.2f %.3f\n", ns/float64(put), float64(least)/float64(most))
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--list" {
		fmt.Println(name)
		return
	}
	if len(os.Args) != 8 || os.Args[1] != "--run" || os.Args[2] != name {
		os.Exit(1)
	}
	var numbers [5]int
	for i := range numbers {
		n, err := strconv.Atoi(os.Args[3+i])
		if err != nil || n < 1 {
			os.Exit(1)
		}
		numbers[i] = n
	}
	run(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
}
